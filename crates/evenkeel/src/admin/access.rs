//! Who may use the API: whoever is on this machine, whoever shows the token, nobody else.
//!
//! A browser on this machine also runs other people's pages. Those may not read or change anything: the `Host` must be
//! a name of a node, so that no foreign name can be pointed here, and a request that comes from a page must come from
//! the page of a member. Members' pages may ask each other, which is how one dashboard shows all nodes.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::api::failure;
use crate::node::Node;

/// Why a request is not let through: a status, and the text of the answer.
type Refusal = (StatusCode, &'static str);

/// Lets a request through, or says why not.
pub(super) async fn guard(
    State(admin): State<Admin>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let origin = match foreign_origin(&admin.node, headers) {
        Ok(origin) => origin,
        Err((status, text)) => return failure(status, text),
    };
    let mut response = if request.method() == Method::OPTIONS {
        // What a browser asks before it lets a page ask: it carries no token yet.
        StatusCode::NO_CONTENT.into_response()
    } else {
        match check(&admin, client.ip(), headers) {
            Ok(()) => next.run(request).await,
            Err((status, text)) => failure(status, text),
        }
    };
    if let Some(origin) = origin {
        let allow = response.headers_mut();
        allow.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        allow.insert(header::VARY, HeaderValue::from_static("Origin"));
        let methods = HeaderValue::from_static("GET, POST");
        allow.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let named = HeaderValue::from_static("Authorization, Content-Type");
        allow.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, named);
    }
    response
}

/// The origin to name in the answer, when a page of another member asks.
fn foreign_origin(node: &Node, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(None);
    };
    let text = origin.to_str().unwrap_or_default();
    let place = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if place.is_some() && place == host {
        return Ok(None);
    }
    let member = |place: &str| {
        let mut nodes = node.topology().nodes();
        nodes.any(|id| node.reached_at(id).http == place)
    };
    if place.is_some_and(member) {
        return Ok(Some(origin.clone()));
    }
    Err((
        StatusCode::FORBIDDEN,
        "NOPERM pages of other sites may not use this API ; open the dashboard of a node",
    ))
}

fn check(admin: &Admin, client: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
    if shows_token(admin, headers) {
        return Ok(());
    }
    if client.is_loopback() {
        if is_own_name(&admin.node, headers) {
            return Ok(());
        }
        return Err((
            StatusCode::FORBIDDEN,
            "NOPERM this name does not belong to the node ; use its address, localhost or what --announce-host says",
        ));
    }
    let text = if admin.token.is_some() {
        "NOPERM the token is missing or wrong ; send it as Authorization: Bearer"
    } else {
        "NOPERM only this machine may ask ; start the node with --http-token-file FILE to let others in"
    };
    Err((StatusCode::UNAUTHORIZED, text))
}

fn shows_token(admin: &Admin, headers: &HeaderMap) -> bool {
    let Some(wanted) = &admin.token else {
        return false;
    };
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    sent.is_some_and(|sent| wanted.is(sent))
}

/// Whether `Host` is an address, localhost, or the announced name.
fn is_own_name(node: &Node, headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || node.config.announce_host.as_deref() == Some(name)
}

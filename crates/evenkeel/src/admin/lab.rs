//! The lab: cut, delay and heal links, and write a few values, from the dashboard. Only with `--fault-injection`.

use axum::body::Bytes as Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::api::{answer, failure, of_reply, words};
use crate::link::fault::Fault;

/// What the lab may run: enough to see replicas part and meet again.
const COMMANDS: [&str; 9] = [
    "SET", "GET", "DEL", "INCR", "INCRBY", "SADD", "SREM", "HSET", "HDEL",
];

/// The faults of this node's links.
pub(super) async fn faults(State(admin): State<Admin>) -> Response {
    let node = &admin.node;
    let faults = node.topology().others().map(|peer| {
        let Fault {
            cut_out,
            cut_in,
            delay_ms,
            drop_percent,
            mute,
        } = node.faults.of(peer);
        json!({
            "peer": node.topology().name(peer),
            "cut_in": cut_in,
            "cut_out": cut_out,
            "delay_ms": delay_ms,
            "drop_percent": drop_percent,
            "mute": mute,
        })
    });
    answer(&json!({
        "allowed": node.config.fault_injection,
        "faults": faults.collect::<Vec<_>>(),
    }))
}

/// A change of faults: the arguments of EK.FAULT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    fault: Vec<String>,
}

/// Changes the faults of this node's links.
pub(super) async fn change(State(admin): State<Admin>, body: Body) -> Response {
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return unreadable(&error),
    };
    let mut args = words(&["EK.FAULT"]);
    args.extend(change.fault.into_iter().map(Bytes::from));
    of_reply(&admin.desk.run(args).await)
}

/// A command to run on this node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    command: Vec<String>,
}

/// What a request and its answer carry a session's token in.
const TOKEN_HEADER: &str = "evenkeel-token";

/// Runs one of a few commands on this node, behind what the token of the request's header stands for; the answer's
/// header carries the token of what was read and written.
pub(super) async fn run(State(admin): State<Admin>, headers: HeaderMap, body: Body) -> Response {
    if !admin.node.config.fault_injection {
        return failure(
            StatusCode::FORBIDDEN,
            "NOPERM the lab is closed on this node ; start it with --fault-injection, never in production",
        );
    }
    let Run { command } = match serde_json::from_slice(&body) {
        Ok(run) => run,
        Err(error) => return unreadable(&error),
    };
    let name = command.first().map(|name| name.to_ascii_uppercase());
    if !name.is_some_and(|name| COMMANDS.contains(&&*name)) {
        return failure(
            StatusCode::BAD_REQUEST,
            &format!("ERR the lab runs only {}", COMMANDS.join(", ")),
        );
    }
    let after = headers.get(TOKEN_HEADER);
    let after = after.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned());
    let command = command.into_iter().map(Bytes::from).collect();
    let (reply, token) = admin.desk.run_after(command, after).await;
    let mut response = of_reply(&reply);
    if let Ok(token) = HeaderValue::from_str(&token) {
        response.headers_mut().insert(TOKEN_HEADER, token);
    }
    response
}

fn unreadable(error: &serde_json::Error) -> Response {
    failure(
        StatusCode::BAD_REQUEST,
        &format!("ERR the body cannot be read: {error} ; /api/v1/openapi.json shows its form"),
    )
}

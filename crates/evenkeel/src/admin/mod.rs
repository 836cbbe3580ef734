//! The HTTP face: health, metrics, the JSON API and the dashboard that is built on it.
//!
//! The API answers from the node's own commands, so that HTTP and Redis clients can never be told different things.
//! Who may ask is decided in one place, `access`; whether a node is alive and what it counts is told to everybody.

mod access;
mod api;
mod desk;
mod health;
mod lab;
mod query;
mod ui;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use self::desk::Desk;
use crate::config::Token;
use crate::node::Node;

/// What every handler gets.
#[derive(Clone)]
struct Admin {
    node: Arc<Node>,
    /// What others than this machine must show.
    token: Option<Arc<Token>>,
    desk: Desk,
}

/// Serves as long as the node runs. Must be called on the node's own thread, within its set of local tasks.
pub(crate) async fn serve(node: Arc<Node>, token: Option<Token>, listener: TcpListener) {
    let mut stopping = node.stop.subscribe();
    let admin = Admin {
        desk: desk::open(Arc::clone(&node)),
        token: token.map(Arc::new),
        node,
    };
    let api = Router::new()
        .route("/status", get(api::status))
        .route("/topology", get(api::topology))
        .route("/divergence", get(api::divergence))
        .route("/divergence/keys", get(api::differing))
        .route("/inspect", get(api::inspect))
        .route("/conflicts", get(api::conflicts))
        .route("/slow", get(api::slow))
        .route("/lab/faults", get(lab::faults).post(lab::change))
        .route("/lab/run", post(lab::run))
        .fallback(api::unknown)
        .layer(from_fn_with_state(admin.clone(), access::guard))
        // Says what the API is, nothing of the data: open to whoever reaches the port.
        .route("/openapi.json", get(api::document));
    let router = Router::new()
        .nest("/api/v1", api)
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(ui::routes())
        .with_state(admin);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async move {
        let _ = stopping.changed().await;
    });
    if let Err(error) = served.await {
        tracing::warn!(%error, "the HTTP face ended");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The paths that this file serves, as it says; the parts of the dashboard are not among them.
    fn served() -> BTreeSet<String> {
        let source = include_str!("mod.rs");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let (api, rest) = code.split_once("let router =").unwrap();
        let paths = |code: &str, prefix: &str| -> Vec<String> {
            let after = code.split(".route(\"").skip(1);
            let path = after.map(|text| text.split('"').next().unwrap_or_default());
            path.map(|path| format!("{prefix}{path}")).collect()
        };
        let all = [paths(api, "/api/v1"), paths(rest, "")].concat();
        all.into_iter().collect()
    }

    #[test]
    fn the_api_document_names_every_path_and_no_other() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("openapi.json")).unwrap();
        let named = document["paths"].as_object().unwrap().keys().cloned();
        let named: BTreeSet<String> = named.collect();
        assert!(named.len() > 9, "{named:?}");
        assert_eq!(named, served());
    }
}

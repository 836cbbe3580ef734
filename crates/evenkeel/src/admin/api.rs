//! The JSON API, version 1: what this node is and holds, asked by the dashboard, scripts and monitoring.
//!
//! Stable: fields are added, never renamed or removed. `openapi.json` beside this file describes it; a test compares.

use std::sync::atomic::Ordering;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use evenkeel_resp::Reply;
use serde_json::{Value, json};

use super::Admin;
use super::health::lag;
use super::query::parameter;
use crate::json::to_json;
use crate::node::Topology;

/// The document that describes the API.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

pub(super) async fn unknown() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "ERR there is nothing here ; /api/v1/openapi.json lists what there is",
    )
}

/// This node, in figures that only grow or say what is now.
pub(super) async fn status(State(admin): State<Admin>) -> Response {
    let node = &admin.node;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let metrics = &node.metrics;
    let peers = node.topology().others().map(|peer| {
        json!({
            "name": node.topology().name(peer),
            "linked": node.is_linked(peer),
            "lacks_events": lag(node, peer),
            "lacks_oldest_ms": node.lag_age(peer).map(|age| age.as_millis()),
        })
    });
    let visible = node.visibility.figures().into_iter().map(|figures| {
        json!({
            "peer": figures.peer.map_or_else(|| "*".to_owned(), |peer| node.topology().name(peer)),
            "events": figures.events,
            "p50": figures.p50_ms,
            "p99": figures.p99_ms,
            "max": figures.max_ms,
        })
    });
    let keys: usize = node
        .held()
        .filter_map(|id| node.look(id, |partition| partition.replica().live_keys()))
        .sum();
    let refusal = node.wal.refusal();
    answer(&json!({
        "node": node.config.node,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": u64::try_from(node.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "writable": refusal.is_none(),
        "refusal": refusal.map(|refusal| refusal.text()),
        "fault_injection": node.config.fault_injection,
        "keys": keys,
        "partitions_held": node.held().count(),
        "clients": read(&metrics.clients),
        "commands_total": read(&metrics.commands),
        "command_errors_total": read(&metrics.errors),
        "forwarded_total": read(&metrics.forwarded),
        "sync_units_total": read(&metrics.sync_units),
        "snapshots_installed_total": read(&metrics.snapshots_installed),
        "digest_mismatch_total": read(&metrics.digest_mismatch),
        "log_appended_bytes_total": read(&node.wal.appended_bytes),
        "peers": peers.collect::<Vec<_>>(),
        "visible_ms": visible.collect::<Vec<_>>(),
    }))
}

/// The nodes, and for each partition the nodes that hold it, home first.
pub(super) async fn topology(State(admin): State<Admin>) -> Response {
    let reply = admin.desk.run(words(&["EK.TOPOLOGY"])).await;
    let Reply::Map(_) = reply else {
        return of_reply(&reply);
    };
    let mut topology = to_json(&reply);
    let table = Topology::partitions().map(|partition| {
        let names = admin.node.topology().replicas(partition).into_iter();
        names
            .map(|node| admin.node.topology().name(node))
            .collect::<Vec<_>>()
    });
    topology["table"] = json!(table.collect::<Vec<_>>());
    answer(&topology)
}

/// How far the nodes are apart; with `key`, in the partition of that key alone; with `partitions=yes`, by partition too.
pub(super) async fn divergence(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let query = query.as_deref();
    let mut args = words(&["EK.DIVERGENCE"]);
    match (parameter(query, "key"), parameter(query, "partitions")) {
        (None, None) => {}
        (Some(key), None) => args.extend([Bytes::from_static(b"KEY"), key]),
        (None, Some(yes)) if yes == "yes" => args.extend(words(&["PARTITIONS"])),
        _ => {
            return failure(
                StatusCode::BAD_REQUEST,
                "ERR what of it? ; write ?key=NAME or ?partitions=yes, not both",
            );
        }
    }
    of_reply(&admin.desk.run(args).await)
}

/// The keys that are not the same on every node.
pub(super) async fn differing(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let mut args = words(&["EK.DIVERGENCE", "KEYS"]);
    args.extend(parameter(query.as_deref(), "count"));
    of_reply(&admin.desk.run(args).await)
}

/// What every replica holds of a key, or, with `scope=node`, this one alone.
pub(super) async fn inspect(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let query = query.as_deref();
    let Some(key) = parameter(query, "key") else {
        return failure(
            StatusCode::BAD_REQUEST,
            "ERR which key? ; write ?key=NAME, percent-encoded",
        );
    };
    let own = match parameter(query, "scope").as_deref() {
        None | Some(b"cluster") => false,
        Some(b"node") => true,
        Some(_) => {
            return failure(StatusCode::BAD_REQUEST, "ERR scope is 'cluster' or 'node'");
        }
    };
    let mut args = words(&["EK.INSPECT"]);
    args.push(key);
    args.extend(parameter(query, "field"));
    if own {
        return of_reply(&crate::client::inspect_own(&admin.node, &args));
    }
    of_reply(&admin.desk.run(args).await)
}

/// How many entries a feed gives when it is not told.
const FEED_DEFAULT: Bytes = Bytes::from_static(b"20");

/// The newest conflicts that this node noticed.
pub(super) async fn conflicts(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let mut args = words(&["EK.CONFLICTS"]);
    args.push(parameter(query.as_deref(), "count").unwrap_or(FEED_DEFAULT));
    match admin.desk.run(args).await {
        error @ Reply::Error(_) => of_reply(&error),
        entries => answer(&json!({ "conflicts": to_json(&entries) })),
    }
}

/// The newest slow commands of this node.
pub(super) async fn slow(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let mut args = words(&["SLOWLOG", "GET"]);
    args.push(parameter(query.as_deref(), "count").unwrap_or(FEED_DEFAULT));
    let entries = match admin.desk.run(args).await {
        Reply::Array(entries) => entries,
        other => return of_reply(&other),
    };
    let entries = entries.iter().filter_map(|entry| {
        let Reply::Array(parts) = entry else {
            return None;
        };
        let part = |at: usize| parts.get(at).map_or(Value::Null, to_json);
        Some(json!({
            "id": part(0),
            "time_s": part(1),
            "took_us": part(2),
            "command": part(3),
            "client": part(4),
            "client_name": part(5),
        }))
    });
    answer(&json!({ "slow": entries.collect::<Vec<_>>() }))
}

pub(super) fn words(words: &[&'static str]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::from_static(word.as_bytes()))
        .collect()
}

/// A reply as a response: an error of the node becomes one of HTTP.
pub(super) fn of_reply(reply: &Reply) -> Response {
    let Reply::Error(text) = reply else {
        return answer(&to_json(reply));
    };
    let text = String::from_utf8_lossy(text.as_bytes());
    let status = match text.split(' ').next() {
        Some("NOPERM") => StatusCode::FORBIDDEN,
        Some("NOHOME" | "IOERR" | "DISKFULL" | "OVERLOADED" | "BEHIND" | "UNMET" | "INDOUBT") => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    failure(status, &text)
}

pub(super) fn answer(value: &Value) -> Response {
    let head = [
        (header::CONTENT_TYPE, "application/json"),
        // Every answer is of this instant.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, value.to_string()).into_response()
}

/// An error: the same text that a Redis client would get.
pub(super) fn failure(status: StatusCode, text: &str) -> Response {
    let mut response = answer(&json!({ "error": text }));
    *response.status_mut() = status;
    response
}

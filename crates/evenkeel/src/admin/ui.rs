//! The dashboard: a page, a style sheet and scripts, embedded in the binary. It holds no data; the API does.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Admin;

/// Nothing from elsewhere is loaded or run; other members are asked for their data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The parts: path, type, content.
const ASSETS: [(&str, &str, &str); 7] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("ui/index.html"),
    ),
    ("/ui/style.css", "text/css", include_str!("ui/style.css")),
    ("/ui/app.js", "text/javascript", include_str!("ui/app.js")),
    ("/ui/api.js", "text/javascript", include_str!("ui/api.js")),
    (
        "/ui/views.js",
        "text/javascript",
        include_str!("ui/views.js"),
    ),
    ("/ui/lab.js", "text/javascript", include_str!("ui/lab.js")),
    ("/ui/icon.svg", "image/svg+xml", include_str!("ui/icon.svg")),
];

pub(super) fn routes() -> Router<Admin> {
    ASSETS
        .into_iter()
        .fold(Router::new(), |router, (path, kind, content)| {
            router.route(path, get(move || async move { asset(kind, content) }))
        })
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer binary serves newer parts under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, content).into_response()
}

//! MONITOR: every command that clients run on this node, as it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use super::connected::Connected;
use super::session::Session;

/// The connections that watch.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    watching: RwLock<Vec<Arc<Connected>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// One load for each command while nobody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn begin(&self, client: &Arc<Connected>) {
        let mut watching = self.watching.write();
        if !watching.iter().any(|known| known.id == client.id) {
            watching.push(Arc::clone(client));
        }
        self.count.store(watching.len(), Ordering::Relaxed);
    }

    pub(super) fn end(&self, client: &Connected) {
        let mut watching = self.watching.write();
        watching.retain(|known| known.id != client.id);
        self.count.store(watching.len(), Ordering::Relaxed);
    }

    /// Tells all of them what a client runs.
    pub(super) fn tell(&self, session: &Session, args: &[Bytes]) {
        let line = Bytes::from(line(session, args));
        let limit = session.node.front.settings.pubsub_limit();
        for client in self.watching.read().iter() {
            client.post(line.clone(), limit);
        }
    }
}

fn line(session: &Session, args: &[Bytes]) -> Vec<u8> {
    let now = session.node.now();
    let mut line = format!(
        "+{}.{:06} [0 {}]",
        now.wall.0 / 1000,
        now.wall.0 % 1000 * 1000 + now.instant.0 % 1000,
        session.connected.address()
    )
    .into_bytes();
    for arg in args {
        line.extend_from_slice(b" \"");
        arg.iter().for_each(|byte| quote(&mut line, *byte));
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn quote(line: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        7 => line.extend_from_slice(b"\\a"),
        8 => line.extend_from_slice(b"\\b"),
        b' '..=b'~' => line.push(byte),
        _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    }
}

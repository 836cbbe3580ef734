//! Where the HTTP face hands in commands: they run on the node's own thread, as a client's would.
//!
//! Handlers may be moved between threads by their type, commands may not: a channel lies between the two.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_resp::Reply;
use tokio::sync::{mpsc, oneshot};

use crate::client::run_once;
use crate::node::Node;

/// Commands that may wait to be begun. More: the caller waits.
const WAITING_MAX: usize = 64;

type Order = (Vec<Bytes>, oneshot::Sender<Reply>);

/// Takes commands.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Order>);

/// Begins to take commands, each a task of its own.
pub(super) fn open(node: Arc<Node>) -> Desk {
    let (desk, mut orders) = mpsc::channel::<Order>(WAITING_MAX);
    tokio::task::spawn_local(async move {
        while let Some((args, tell)) = orders.recv().await {
            let node = Arc::clone(&node);
            tokio::task::spawn_local(async move {
                // Whoever asked may be gone.
                let _ = tell.send(run_once(&node, &args).await);
            });
        }
    });
    Desk(desk)
}

impl Desk {
    /// Runs a command and waits for its reply.
    pub(super) async fn run(&self, args: Vec<Bytes>) -> Reply {
        let (tell, told) = oneshot::channel();
        if self.0.send((args, tell)).await.is_err() {
            return stopping();
        }
        told.await.unwrap_or_else(|_| stopping())
    }
}

fn stopping() -> Reply {
    Reply::error("ERR the node is stopping ; ask another one")
}

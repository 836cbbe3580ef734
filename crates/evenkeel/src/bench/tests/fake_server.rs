//! A server on a port of its own: one thread per connection, answering each request as told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use evenkeel_resp::{Decoded, Limits, RequestDecoder};

/// A request with where it came in.
pub(super) struct Seen {
    pub(super) request: Vec<String>,
    /// Connections before this one.
    pub(super) connection: usize,
    /// Requests before this one on its connection.
    pub(super) place: usize,
}

pub(super) enum Reaction {
    Reply(Vec<u8>),
    Silence,
    Close,
}

struct Shared {
    react: Box<dyn Fn(&Seen) -> Reaction + Send + Sync>,
    requests: Mutex<Vec<Vec<String>>>,
    connections: AtomicUsize,
    closing: AtomicBool,
}

pub(super) struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub(super) fn new(react: impl Fn(&Seen) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            react: Box::new(react),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &accepting));
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// All requests so far, in the order of their arrival.
    pub(super) fn requests(&self) -> Vec<Vec<String>> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            continue;
        };
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(stream, connection, &shared));
    }
}

/// Reads nothing while it writes, as a server with blocking sockets.
fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let mut received = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut place = 0;
    loop {
        while let Some(request) = take_request(&mut decoder, &mut received) {
            let seen = Seen {
                request,
                connection,
                place,
            };
            place += 1;
            let reaction = (shared.react)(&seen);
            shared.requests.lock().unwrap().push(seen.request);
            match reaction {
                Reaction::Reply(reply) if stream.write_all(&reply).is_ok() => {}
                Reaction::Silence => {}
                _ => return,
            }
        }
        match stream.read(&mut chunk) {
            Ok(bytes) if bytes > 0 => received.extend_from_slice(&chunk[..bytes]),
            _ => return,
        }
    }
}

fn take_request(decoder: &mut RequestDecoder, received: &mut Vec<u8>) -> Option<Vec<String>> {
    let (request, consumed) = match decoder.decode(received).unwrap() {
        Decoded::Request(request) => {
            let text = |arg: &[u8]| String::from_utf8_lossy(arg).into_owned();
            (Some(request.args().map(text).collect()), request.consumed())
        }
        Decoded::Incomplete { consumed } => (None, consumed),
    };
    received.drain(..consumed);
    request
}

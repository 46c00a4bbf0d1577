//! A TCP proxy on the loopback address whose behaviour can be changed while connections run through it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the proxy does, with old connections and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on at once.
    Pass,
    /// Passes everything on, each direction that much later.
    Delay {
        /// From the client to the server.
        up: Duration,
        /// From the server to the client.
        down: Duration,
    },
    /// Accepts and holds everything back: a silent peer. What is held back goes on when the mode changes.
    Hang,
    /// Passes everything on until about this many bytes went to the client, and then holds everything back.
    HangAfter(u64),
    /// Passes requests on and holds answers back: the server does what the client never hears of.
    HangReplies,
    /// Does not listen: connections are refused. Connections that are open go on, see [`Proxy::cut`].
    Refuse,
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

struct State {
    mode: Mode,
    streams: Vec<TcpStream>,
    closed: bool,
}

struct Inner {
    target: Mutex<SocketAddr>,
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// A proxy in front of one address. Dropped, it closes everything.
pub struct Proxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port and passes on to `target`, an address such as `127.0.0.1:2379`.
    pub fn start(target: &str) -> Self {
        let port = super::process::free_port();
        let state = State { mode: Mode::Pass, streams: Vec::new(), closed: false };
        let inner = Arc::new(Inner {
            target: Mutex::new(target.parse().expect("an address")),
            state: Mutex::new(state),
            changed: Condvar::new(),
            connections: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        });
        let mut proxy = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), inner, listening: None };
        proxy.listen();
        proxy
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// Bytes that went to the server so far.
    pub fn bytes_up(&self) -> u64 {
        self.inner.up.load(Ordering::SeqCst)
    }

    /// Bytes that went to the client so far.
    pub fn bytes_down(&self) -> u64 {
        self.inner.down.load(Ordering::SeqCst)
    }

    /// Changes the behaviour; when this returns, the change is done.
    pub fn set(&mut self, mode: Mode) {
        self.inner.state.lock().unwrap().mode = mode;
        self.inner.changed.notify_all();
        if mode == Mode::Refuse {
            self.stop_listening();
        } else if self.listening.is_none() {
            self.listen();
        }
    }

    /// Passes new connections on to another server, as a load balancer may.
    pub fn retarget(&self, target: &str) {
        *self.inner.target.lock().unwrap() = target.parse().expect("an address");
    }

    /// Cuts every connection that is open now; new ones are treated as the mode says.
    pub fn cut(&self) {
        for stream in self.inner.state.lock().unwrap().streams.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("listen on the proxy's port");
        let inner = Arc::clone(&self.inner);
        self.listening = Some(std::thread::spawn(move || {
            for client in listener.incoming() {
                if inner.refuses() {
                    return;
                }
                if let Ok(client) = client {
                    inner.serve(client);
                }
            }
        }));
    }

    fn stop_listening(&mut self) {
        if let Some(listening) = self.listening.take() {
            // A connection of our own wakes the thread, which then sees what is wanted.
            TcpStream::connect(self.address).ok();
            listening.join().ok();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.state.lock().unwrap().closed = true;
        self.inner.changed.notify_all();
        self.stop_listening();
        self.cut();
    }
}

impl Inner {
    fn refuses(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.closed || state.mode == Mode::Refuse
    }

    fn serve(self: &Arc<Self>, client: TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let target = *self.target.lock().unwrap();
        // A target that does not answer: the client's connection is closed, as by a server that just went.
        let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
            self.state.lock().unwrap().streams.push(stream.try_clone().expect("share a socket"));
        }
        let both = (client.try_clone().expect("share a socket"), server.try_clone().expect("share a socket"));
        self.pump(client, server, Direction::Up);
        self.pump(both.1, both.0, Direction::Down);
    }

    /// One thread reads and notes when, one writes when it is due: a delay does not slow the flow down.
    fn pump(self: &Arc<Self>, mut from: TcpStream, to: TcpStream, direction: Direction) {
        let (sender, receiver): (SyncSender<(Instant, Vec<u8>)>, _) = sync_channel(256);
        let inner = Arc::clone(self);
        std::thread::spawn(move || inner.deliver(receiver, to, direction));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    break;
                }
            }
        });
    }

    fn deliver(&self, receiver: Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, direction: Direction) {
        let counter = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        for (read, bytes) in receiver {
            if !self.wait_due(read, direction) || to.write_all(&bytes).is_err() {
                break;
            }
            counter.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        to.shutdown(Shutdown::Both).ok();
    }

    /// Waits until what was read then may go on; false when the proxy is closed.
    fn wait_due(&self, read: Instant, direction: Direction) -> bool {
        let mut state = self.state.lock().unwrap();
        loop {
            let due = match (state.mode, direction) {
                (Mode::Hang, _) | (Mode::HangReplies, Direction::Down) => None,
                (Mode::HangAfter(limit), _) if self.down.load(Ordering::SeqCst) >= limit => None,
                (Mode::Delay { up, .. }, Direction::Up) => Some(read + up),
                (Mode::Delay { down, .. }, Direction::Down) => Some(read + down),
                _ => Some(read),
            };
            if state.closed {
                return false;
            }
            state = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return true,
                Some(left) => self.changed.wait_timeout(state, left).unwrap().0,
                None => self.changed.wait(state).unwrap(),
            };
        }
    }
}

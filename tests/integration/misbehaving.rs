//! Peers that misbehave, each in one way: TCP, TLS and DNS servers of the tests' own, on loopback, on free ports.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server whose every connection is handled by one function on a thread of its own; ends when dropped.
pub struct Peer {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The heads (and what came with them) of all requests that were read so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes `accept`
    }
}

/// What a handler gets: the connection, and a place to note what was asked.
pub struct Caller {
    pub tcp: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Caller {
    /// Reads a request's head and notes it.
    pub fn read_request(&mut self) -> String {
        let head = read_head(&mut self.tcp);
        self.requests.lock().unwrap().push(head.clone());
        head
    }
}

/// Starts a server on 127.0.0.1.
pub fn serve(handler: impl Fn(Caller) + Send + Sync + 'static) -> Peer {
    serve_on(Ipv4Addr::LOCALHOST.into(), handler)
}

/// Starts a server on a loopback address.
pub fn serve_on(ip: IpAddr, handler: impl Fn(Caller) + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let peer = Peer { address, stop: stop.clone(), requests: requests.clone() };
    let handler = Arc::new(handler);
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            tcp.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
            tcp.set_nodelay(true).unwrap();
            let (handler, caller) = (handler.clone(), Caller { tcp, requests: requests.clone() });
            std::thread::spawn(move || handler(caller));
        }
    });
    peer
}

/// Reads up to the empty line; what comes with it too.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => head.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Keeps the connection open and silent until the other side leaves.
pub fn hold(mut tcp: TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(tcp.read(&mut buffer), Ok(n) if n > 0) {}
}

/// Closes with RST.
pub fn reset(tcp: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&tcp, Some(Duration::ZERO)).unwrap();
}

// ---- vices of HTTP servers ---------------------------------------------------------------------------------------

/// Answers every request with these bytes and then ends the stream, without RST.
pub fn says(bytes: impl Into<Vec<u8>>) -> Peer {
    let bytes = bytes.into();
    serve(move |mut caller| {
        caller.read_request();
        if caller.tcp.write_all(&bytes).is_ok() && caller.tcp.shutdown(Shutdown::Write).is_ok() {
            hold(caller.tcp);
        }
    })
}

/// Answers with these bytes and then stays silent with the connection open.
pub fn says_and_stalls(bytes: impl Into<Vec<u8>>) -> Peer {
    let bytes = bytes.into();
    serve(move |mut caller| {
        caller.read_request();
        if caller.tcp.write_all(&bytes).is_ok() {
            hold(caller.tcp);
        }
    })
}

/// Answers with these bytes and resets once the client has had time to read them: at its next sign of life, or soon.
pub fn says_and_resets(bytes: impl Into<Vec<u8>>) -> Peer {
    let bytes = bytes.into();
    serve(move |mut caller| {
        caller.read_request();
        if caller.tcp.write_all(&bytes).is_ok() {
            wait_until_taken(&caller.tcp);
            reset(caller.tcp);
        }
    })
}

/// RST throws away what the other side has not read yet: waits until the client's receive queue is empty.
fn wait_until_taken(tcp: &TcpStream) {
    let (client, server) = (tcp.peer_addr().unwrap(), tcp.local_addr().unwrap());
    for _ in 0..1000 {
        if sockets(client, server).iter().all(|s| s.unread == 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the client does not read");
}

/// One line of the kernel's table of connections.
#[derive(Debug)]
pub struct Socket {
    /// 1 is ESTABLISHED, 6 is TIME_WAIT.
    #[expect(dead_code, reason = "shown where a test fails")]
    pub state: u8,
    pub unread: u32,
}

/// The kernel's sockets from `local` to `remote`: one, or none. Both ends are compared, because ports are used again
/// while others' TIME_WAIT still stands.
pub fn sockets(local: SocketAddr, remote: SocketAddr) -> Vec<Socket> {
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => unreachable!("the tests' servers listen on IPv4"),
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|l| l[1] == hex(local) && l[2] == hex(remote))
        .map(|l| Socket {
            state: u8::from_str_radix(l[3], 16).unwrap(),
            unread: u32::from_str_radix(l[4].split_once(':').unwrap().1, 16).unwrap(),
        })
        .collect()
}

/// Answers with these bytes, one at a time.
pub fn trickles(bytes: impl Into<Vec<u8>>, every: Duration) -> Peer {
    let bytes = bytes.into();
    serve(move |mut caller| {
        caller.read_request();
        for byte in &bytes {
            std::thread::sleep(every); // this is the vice itself
            if caller.tcp.write_all(&[*byte]).is_err() {
                return;
            }
        }
        hold(caller.tcp);
    })
}

/// Begins with `first` and goes on with `again` without end.
pub fn never_ends(first: &'static str, again: &'static str) -> Peer {
    serve(move |mut caller| {
        caller.read_request();
        let many = again.repeat(1000);
        let mut going = caller.tcp.write_all(first.as_bytes()).is_ok();
        while going {
            going = caller.tcp.write_all(many.as_bytes()).is_ok();
        }
    })
}

/// Takes the connection and ends the stream at once.
pub fn accepts_and_closes() -> Peer {
    serve(|caller| {
        if caller.tcp.shutdown(Shutdown::Write).is_ok() {
            hold(caller.tcp);
        }
    })
}

/// Takes the connection and reads nothing.
pub fn never_reads() -> Peer {
    serve(|caller| leave_unread(&caller.tcp))
}

/// Reads so many bytes of a request, and no more.
pub fn stops_reading(after: usize) -> Peer {
    serve(move |mut caller| {
        let mut some = vec![0; after];
        if caller.tcp.read_exact(&mut some).is_ok() {
            leave_unread(&caller.tcp);
        }
    })
}

/// Shakes hands, reads the head of a request, and no more.
pub fn tls_stops_reading(config: ServerConfig) -> Peer {
    let config = Arc::new(config);
    serve(move |caller| {
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), caller.tcp);
        read_head(&mut tls);
        leave_unread(&tls.sock);
    })
}

/// Until the client has gone and the RST or FIN has come: peek blocks on neither.
fn leave_unread(tcp: &TcpStream) {
    let mut one = [0; 1];
    let mut waited = 0;
    while waited < 200 && matches!(tcp.peek(&mut one), Ok(n) if n > 0) {
        std::thread::sleep(Duration::from_millis(20)); // there is nothing to wait on without reading
        waited += 1;
    }
}

/// Answers by the request line's path.
pub fn routes(route: impl Fn(&str) -> String + Send + Sync + 'static) -> Peer {
    serve(move |mut caller| {
        let head = caller.read_request();
        let path = head.split(' ').nth(1).unwrap_or_default();
        if caller.tcp.write_all(route(path).as_bytes()).is_ok() && caller.tcp.shutdown(Shutdown::Write).is_ok() {
            hold(caller.tcp);
        }
    })
}

// ---- no servers at all -------------------------------------------------------------------------------------------

/// A port that refuses: bound, so that nobody else gets it, but not listening.
pub struct ClosedPort {
    pub address: SocketAddr,
    _socket: rustix::fd::OwnedFd,
}

/// Such a port on 127.0.0.1.
pub fn closed_port() -> ClosedPort {
    let (address, socket) = bound_socket();
    ClosedPort { address, _socket: socket }
}

/// A port whose accept queue is full: SYNs are dropped.
pub struct BlackHole {
    pub address: SocketAddr,
    _socket: rustix::fd::OwnedFd,
    _fillers: Vec<TcpStream>,
}

/// Such a port on 127.0.0.1.
pub fn black_hole() -> BlackHole {
    let (address, socket) = bound_socket();
    rustix::net::listen(&socket, 0).unwrap();
    let mut fillers = Vec::new();
    while let Ok(tcp) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        fillers.push(tcp);
        assert!(fillers.len() < 100, "the accept queue does not fill up");
    }
    BlackHole { address, _socket: socket, _fillers: fillers }
}

fn bound_socket() -> (SocketAddr, rustix::fd::OwnedFd) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    (address, socket)
}

// ---- TLS ---------------------------------------------------------------------------------------------------------

/// Answers 200 over TLS.
pub fn tls(config: ServerConfig) -> Peer {
    tls_says(config, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true)
}

/// Answers with this text over TLS and closes with or without close_notify.
pub fn tls_says(config: ServerConfig, text: &'static str, farewell: bool) -> Peer {
    let config = Arc::new(config);
    serve(move |caller| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut tls = StreamOwned::new(session, caller.tcp);
        let head = read_head(&mut tls);
        if head.is_empty() {
            // The client refused us: let it close, so that its alert is not answered by RST.
            hold(tls.sock);
            return;
        }
        caller.requests.lock().unwrap().push(head);
        if tls.write_all(text.as_bytes()).is_ok() && tls.flush().is_ok() {
            if farewell {
                tls.conn.send_close_notify();
                tls.flush().ok();
            }
            if tls.sock.shutdown(Shutdown::Write).is_ok() {
                hold(tls.sock);
            }
        }
    })
}

/// Takes the TLS hello and does this with the connection.
pub fn after_hello(then: impl Fn(TcpStream) + Send + Sync + 'static) -> Peer {
    serve(move |mut caller| {
        let mut hello = [0; 4096];
        if matches!(caller.tcp.read(&mut hello), Ok(n) if n > 0) {
            then(caller.tcp);
        }
    })
}

// ---- DNS ---------------------------------------------------------------------------------------------------------

/// What the name server says of a name.
#[derive(Clone)]
pub enum Says {
    /// These addresses.
    Addresses(Vec<IpAddr>, u32),
    /// This response code, without records.
    Code(u8),
    /// Nothing.
    Silence,
}

/// A name server on UDP.
pub struct NameServer {
    pub address: SocketAddr,
    questions: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<Says>>,
    stop: Arc<AtomicBool>,
}

impl NameServer {
    /// Says something else from now on.
    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often a name was asked for (A and AAAA are two questions).
    pub fn asked(&self, name: &str) -> usize {
        self.questions.lock().unwrap().iter().filter(|q| *q == name).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Starts one that says this of every name.
pub fn name_server(says: Says) -> NameServer {
    name_server_on("127.0.0.1:0", says)
}

/// The same at this address.
pub fn name_server_on(address: &str, says: Says) -> NameServer {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let address = socket.local_addr().unwrap();
    let (questions, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let says = Arc::new(Mutex::new(says));
    let server = NameServer { address, questions: questions.clone(), says: says.clone(), stop: stop.clone() };
    std::thread::spawn(move || {
        let mut packet = [0; 1500];
        while !stop.load(Ordering::SeqCst) {
            let Ok((n, from)) = socket.recv_from(&mut packet) else { continue };
            let (name, end) = question_name(&packet[..n]);
            questions.lock().unwrap().push(name);
            if let Some(answer) = answer(&packet[..n], end, &says.lock().unwrap()) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    server
}

fn question_name(packet: &[u8]) -> (String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while packet[at] != 0 {
        let n = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + n]).into_owned());
        at += 1 + n;
    }
    (labels.join("."), at + 1)
}

fn answer(question: &[u8], name_end: usize, says: &Says) -> Option<Vec<u8>> {
    let (code, addresses, ttl) = match says {
        Says::Silence => return None,
        Says::Code(code) => (*code, [].as_slice(), 0),
        Says::Addresses(list, ttl) => (0, list.as_slice(), *ttl),
    };
    let wants_v6 = question[name_end..name_end + 2] == [0, 28];
    let fitting: Vec<&IpAddr> = addresses.iter().filter(|ip| ip.is_ipv6() == wants_v6).collect();
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(fitting.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(&question[12..name_end + 4]);
    for ip in fitting {
        let bytes = match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        out.extend([0xc0, 12, 0, if ip.is_ipv6() { 28 } else { 1 }, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, u8::try_from(bytes.len()).unwrap()]);
        out.extend(bytes);
    }
    Some(out)
}

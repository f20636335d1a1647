//! A way to a server that keeps every byte that passes: what the operator of the network in between
//! sees, or of the server. Not here: what is in the bytes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

type Recording = Arc<Mutex<Vec<Vec<u8>>>>;

/// A recording way to one server.
pub struct Recorder {
    /// Where to connect instead of to the server.
    pub url: String,
    requests: Recording,
    replies: Recording,
}

impl Recorder {
    /// Opens a way to `http://host:port`.
    pub fn start(url: &str) -> Self {
        let server: SocketAddr =
            url.strip_prefix("http://").and_then(|at| at.parse().ok()).expect("http://ip:port");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, replies) = (Recording::default(), Recording::default());
        let recordings = (requests.clone(), replies.clone());
        // It ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(server) {
                    record(&client, &server, &recordings.0);
                    record(&server, &client, &recordings.1);
                }
            }
        });
        Self { url, requests, replies }
    }

    /// What clients have sent so far, for each connection.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }

    /// What the server has sent so far, for each connection.
    pub fn replies(&self) -> Vec<Vec<u8>> {
        self.replies.lock().unwrap().clone()
    }
}

/// Passes bytes on in one direction, recorded before they arrive.
fn record(from: &TcpStream, to: &TcpStream, recording: &Recording) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let recording = recording.clone();
    let connection = {
        let mut connections = recording.lock().unwrap();
        connections.push(Vec::new());
        connections.len() - 1
    };
    let _ = to.set_nodelay(true);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            recording.lock().unwrap()[connection].extend_from_slice(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

//! TLS against a real server on this machine, whose certificate is in this folder; its key is known to
//! everybody. Not here: what is asked over the connection (`client_tests`).

use super::*;
use crate::l1::{L1Client, fake::FakeL1};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{net::SocketAddr, path::PathBuf};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
};
use tokio_rustls::TlsAcceptor;

/// A file beside this one.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/l1/http")).join(name)
}

/// Puts TLS before a server; returns where.
async fn terminate(server: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(file("test-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("test-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// The child of the next test: asks the L1 at the given addresses what chain it is.
#[tokio::test]
async fn child_that_asks() {
    let Ok(urls) = std::env::var("OBSCURO_TEST_L1") else { return };
    for url in urls.split(' ') {
        match L1Client::new(url, None).unwrap().chain_id().await {
            Ok(id) => println!("answer {id}"),
            Err(error) => println!("answer {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_against_the_roots_of_the_system() {
    let l1 = FakeL1::start().await;
    let server = Url::parse(&l1.http()).unwrap().socket_addrs(|| None).unwrap()[0];
    let port = terminate(server).await.port();
    let urls = format!("https://localhost:{port}/key wss://localhost:{port}/key");
    // Another process, because trust is a matter of its environment.
    let answers = async |trusted: Option<PathBuf>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "l1::http::tests::child_that_asks", "--nocapture"]);
        child.env("OBSCURO_TEST_L1", &urls).env_remove("SSL_CERT_DIR");
        child.env("SSL_CERT_FILE", trusted.unwrap_or("/dev/null".into()));
        let output = child.output().await.unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        let answers = output.lines().filter_map(|line| line.split_once("answer "));
        answers.map(|(_, answer)| answer.to_owned()).collect::<Vec<_>>()
    };
    let id = crate::l1::fake::CHAIN_ID.to_string();
    assert_eq!(answers(Some(file("test-certificate.pem"))).await, [id.clone(), id]);
    let refused = answers(None).await;
    assert_eq!(refused.len(), 2);
    for error in refused {
        assert!(error.contains("localhost") && error.contains("SSL_CERT_FILE"), "{error}");
        assert_eq!(error.matches("invalid peer certificate").count(), 1, "{error}");
        assert!(!error.contains("key"), "{error}");
    }
}

#[tokio::test]
async fn credentials_go_into_a_header_and_refusals_are_told() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nlater";
        stream.write_all(answer).await.unwrap();
        head
    });
    let client = L1Client::new(&format!("http://user:pass@{address}/key?x=1"), None).unwrap();
    let error = client.chain_id().await.unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("later"), "{error}");
    let head = server.await.unwrap();
    assert!(head.starts_with("POST /key?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
}

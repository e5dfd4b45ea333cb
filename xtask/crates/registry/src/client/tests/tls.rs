//! A registry with TLS, whose certificate is trusted only if the machine's bundle has it.

use super::*;
use rustls::{ServerConnection, StreamOwned};

/// Says yes to everything; the requests that came through TLS are kept.
fn server() -> Server {
    let config = certificate::server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, stream.unwrap());
            // Who doesn't trust the certificate says so instead.
            let Some(request) = read(&mut stream) else { continue };
            log.lock().unwrap().push(request.line);
            let _ = stream.write_all(
                b"HTTP/1.1 200 x\r\nDocker-Content-Digest: d\r\nContent-Length: 0\r\n\r\n",
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    Server { registry, asked }
}

#[test]
fn a_certificate_that_nothing_here_trusts_ends_it_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.crt");
    std::fs::write(&bundle, certificate::bundle()).unwrap();
    let login = r#"{ "auth": "dXNlcjp3b3Jk" }"#;
    let server = server();
    let (bare, info) = (Machine::default(), |insecure: bool| {
        format!(r#"{{"registries":{{"{}":{{"Insecure":{insecure}}}}}}}"#, server.registry)
    });
    let error = opened_on(&bare, &info(false), &server, login).err().unwrap();
    let (exit, help) = process::failure::describe(&error);
    assert_eq!(exit, Exit::RegistryRefused, "{error:#}");
    assert!(error.to_string().contains("it isn't trusted"), "{error:#}");
    assert!(help[0].contains("XTASK_CA_BUNDLE"), "{help:?}");
    assert_eq!(server.asked(), [""; 0]);
    // What the bundle has is trusted, and so is all of a registry that the engine calls insecure.
    let machine = Machine { ca_bundle: Some(bundle), ..Machine::default() };
    let trusted = opened_on(&machine, &info(false), &server, login).unwrap();
    assert_eq!(server.asked(), ["GET /v2/"]);
    let insecure = opened_on(&bare, &info(true), &server, login).unwrap();
    // Neither is asked, or pushed to, without TLS.
    assert!(!trusted.plain && !insecure.plain);
    insecure.digest("1.0").unwrap();
    assert_eq!(server.asked()[1..], ["HEAD /v2/team/app/manifests/1.0"]);
}

//! A process that is being started holds copies of every socket until its own program runs. No proxy may care.

mod support;

use std::{
    io::{ErrorKind, Read, Write, pipe},
    os::unix::process::CommandExt,
    process::Command,
};

use support::{Server, connect, echoed, proxy};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_proxy_closes_and_opens_while_a_forked_process_holds_its_sockets() {
    let server = Server::echo().await;
    let proxy = proxy("hurt", server.address).await;
    let (mut forked, mut child_says) = pipe().expect("a pipe");
    let (mut child_hears, mut go_on) = pipe().expect("a pipe");
    let mut command = Command::new("true");
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            child_says.write_all(b"f")?;
            child_hears.read_exact(&mut [0])
        });
    }
    let starting = std::thread::spawn(move || command.status());
    forked.read_exact(&mut [0]).expect("the child is forked");
    proxy.set_enabled(false).await.expect("closed");
    let refused = TcpStream::connect(proxy.address())
        .await
        .expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.set_enabled(true).await.expect("open");
    echoed(&mut connect(&proxy).await, "again").await;
    go_on.write_all(b"g").expect("the child hears");
    let status = starting.join().expect("the thread ended");
    assert!(status.expect("it was started").success());
}

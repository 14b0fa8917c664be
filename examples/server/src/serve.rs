//! Connections: as many as may be, each with a bound on the time of a request's head, until the server is stopped.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Options;

/// Answers until `stop` comes, then what has been begun, for as long as the options say; whether that was long enough.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    options: &Options,
    stop: impl Future<Output = ()>,
) -> bool {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.head_time);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(options.connections));
    // Dropped, it drops the connections, and with them what they wait for.
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Such as too many open files: some will be closed.
                    eprintln!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Without it answers wait for the client's acknowledgement; nothing else is lost.
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(app.clone());
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            connections.spawn(async move {
                // Whoever sends no HTTP, or goes away, is no error of the server.
                let _: Result<(), hyper::Error> = connection.await;
                drop(place);
                Ok::<(), Infallible>(())
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = stop => {}
        () = pin!(accept) => {}
    }
    drop(listener);
    tokio::time::timeout(options.grace, graceful.shutdown())
        .await
        .is_ok()
}

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tokio::net::TcpListener;
use venule::Segmenter;
use venule_server::{Options, Server, router, serve};

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    // Before any thread begins.
    venule::set_threads(options.threads)?;
    let segmenter = match &options.weights {
        Some(path) => Segmenter::from_file(path)?,
        None if options.fast => Segmenter::bundled_fast()?,
        None => Segmenter::bundled()?,
    };
    let app = router(Server::new(segmenter, options.clone())?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.address).await;
        let listener =
            listener.map_err(|error| format!("cannot listen on {}: {error}", options.address))?;
        println!("listening on {}", listener.local_addr()?);
        let in_time = serve(listener, app, &options, stopped()?).await;
        Ok(match in_time {
            true => ExitCode::SUCCESS,
            false => {
                eprintln!(
                    "stopped with requests unanswered after {} s",
                    options.grace.as_secs_f64()
                );
                ExitCode::FAILURE
            }
        })
    })
}

/// Comes with Ctrl-C or a termination signal; a second one ends the process at once.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut signal = async move || {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(async move {
        signal().await;
        eprintln!("stopping; answering what has been begun (again to stop at once)");
        tokio::spawn(async move {
            signal().await;
            std::process::exit(130);
        });
    })
}

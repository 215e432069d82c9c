//! The signals that end a role: the first begins the drain, the second ends the process at once.

use std::{future::Future, io};

use runtime::tasks::Stop;

use crate::{exit::Exit, problem::Problem};

/// Runs `session` to its end. The first signal cancels `stop` and is told with `tell`; the second drops the
/// session.
pub(crate) async fn guard(
    stop: &Stop,
    tell: impl Fn(&str),
    session: impl Future<Output = Result<Exit, Problem>>,
) -> Result<Exit, Problem> {
    let mut signals =
        Signals::listen().map_err(|error| Problem::failed("signals cannot be received", &error))?;
    let twice = async {
        signals.next().await;
        stop.cancel();
        tell("stopping, what runs may finish first; a second signal stops at once");
        signals.next().await;
    };
    tokio::select! {
        biased;
        ended = session => ended,
        () = twice => Ok(Exit::Interrupted),
    }
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C, Ctrl-Break, the closing of the console, and shutdown.
#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    interrupt_group: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            interrupt_group: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.interrupt_group.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

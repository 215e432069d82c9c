//! A service of the operating system: the command lines that move it, and what their answers mean.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::status::{Exit, HostError};

/// A service that runs ComfyUI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Who keeps it.
    pub kind: ServiceKind,
    /// Its name, such as `comfyui.service`.
    pub name: String,
}

/// Who keeps a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// The system's systemd.
    System,
    /// The user's own systemd.
    User,
    /// Windows.
    Windows,
}

/// What can be done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Start it; comes back before it is up.
    Start,
    /// Tell it to end; comes back before it has.
    Stop,
    /// End it by force.
    Kill {
        /// Its process.
        pid: Option<u32>,
    },
    /// Tell how it is.
    Show,
    /// The last lines of its log.
    Logs(usize),
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) activity: Activity,
    pub(super) pid: Option<u32>,
    pub(super) exit: Exit,
}

/// What a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// It runs, or is on the way there or down.
    Up,
    /// It is down as somebody wanted.
    Down,
    /// It is down because it failed.
    Failed,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl ServiceKind {
    /// The one of this platform.
    pub(super) const fn native(of_user: bool) -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if of_user {
            Self::User
        } else {
            Self::System
        }
    }
}

impl Service {
    /// The command line; `None` where there is none for it.
    pub(super) fn argv(&self, operation: Operation) -> Option<Vec<String>> {
        let (program, scope): (&str, &[&str]) = match (self.kind, operation) {
            (ServiceKind::Windows, _) => return self.windows_argv(operation),
            (ServiceKind::System, Operation::Logs(_)) => ("journalctl", &[]),
            (ServiceKind::User, Operation::Logs(_)) => ("journalctl", &["--user"]),
            (ServiceKind::System, _) => ("systemctl", &["--no-ask-password"]),
            (ServiceKind::User, _) => ("systemctl", &["--user", "--no-ask-password"]),
        };
        let count;
        let rest: &[&str] = match operation {
            Operation::Start => &["--no-block", "start", &self.name],
            Operation::Stop => &["--no-block", "stop", &self.name],
            Operation::Kill { .. } => &["kill", "--signal=SIGKILL", &self.name],
            Operation::Show => &[
                "show",
                "-p",
                "ActiveState,SubState,MainPID,ExecMainCode,ExecMainStatus",
                &self.name,
            ],
            Operation::Logs(lines) => {
                count = lines.to_string();
                &["-u", &self.name, "-n", &count, "--no-pager", "-o", "cat", "-q"]
            }
        };
        Some(owned([program].iter().chain(scope).chain(rest)))
    }

    fn windows_argv(&self, operation: Operation) -> Option<Vec<String>> {
        let number;
        let words: &[&str] = match operation {
            Operation::Start => &["sc.exe", "start", &self.name],
            Operation::Stop => &["sc.exe", "stop", &self.name],
            Operation::Kill { pid } => {
                number = pid?.to_string();
                &["taskkill.exe", "/F", "/T", "/PID", &number]
            }
            Operation::Show => &["sc.exe", "queryex", &self.name],
            Operation::Logs(_) => return None,
        };
        Some(owned(words.iter()))
    }

    /// Does it.
    ///
    /// # Errors
    /// What the command said, if it failed.
    pub(super) async fn run(&self, operation: Operation) -> Result<String, HostError> {
        let Some(argv) = self.argv(operation) else {
            return Err(HostError::NoLogs(
                "the event viewer or the service's own log file".to_owned(),
            ));
        };
        let failed = |said: String| HostError::Service {
            command: argv.join(" "),
            said,
        };
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match timeout(PATIENCE, output).await {
            Err(_) => Err(failed(format!("no answer within {PATIENCE:?}"))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(output)) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(Ok(output)) => {
                // sc.exe tells its troubles on the standard output
                let said = [output.stderr, output.stdout].concat();
                Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
            }
        }
    }

    /// The last lines of its log.
    ///
    /// # Errors
    /// If nobody tells them.
    pub(super) async fn last_lines(&self, count: usize) -> Result<Vec<String>, HostError> {
        let text = self.run(Operation::Logs(count)).await?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// How it is now.
    ///
    /// # Errors
    /// If nobody answers that.
    pub(super) async fn look(&self) -> Result<Condition, HostError> {
        let said = self.run(Operation::Show).await?;
        let condition = match self.kind {
            ServiceKind::System | ServiceKind::User => read_systemd(&said),
            ServiceKind::Windows => read_windows(&said),
        };
        condition.ok_or_else(|| HostError::Service {
            command: self.argv(Operation::Show).unwrap_or_default().join(" "),
            said,
        })
    }
}

fn owned<'a>(words: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    words.map(|word| (*word).to_owned()).collect()
}

/// Reads `systemctl show`.
fn read_systemd(text: &str) -> Option<Condition> {
    let property = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let activity = match property("ActiveState")? {
        // a unit that systemd itself starts again is not down
        "active" | "reloading" | "refreshing" | "activating" | "deactivating" | "maintenance" => Activity::Up,
        "inactive" => Activity::Down,
        "failed" => Activity::Failed,
        _ => return None,
    };
    let number = |name| property(name).and_then(|text| text.parse::<i32>().ok());
    let status = number("ExecMainStatus");
    let exit = match number("ExecMainCode") {
        // CLD_EXITED, CLD_KILLED and CLD_DUMPED of wait(2)
        Some(1) => Exit {
            code: status,
            signal: None,
        },
        Some(2 | 3) => Exit {
            code: None,
            signal: status,
        },
        Some(_) | None => Exit::default(),
    };
    let pid = property("MainPID").and_then(|text| text.parse().ok());
    Some(Condition {
        activity,
        pid: pid.filter(|pid| *pid != 0),
        exit,
    })
}

/// Reads `sc.exe queryex`. The names of its fields follow the language of the system, the states do not.
fn read_windows(text: &str) -> Option<Condition> {
    let values = || {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
    };
    let number = |wanted| {
        let (_, value) = values().find(|(name, _)| *name == wanted)?;
        value.split_whitespace().next()?.parse::<i32>().ok()
    };
    let code = number("WIN32_EXIT_CODE");
    let activity = values().find_map(|(_, value)| match value.split_whitespace().nth(1)? {
        "RUNNING" | "START_PENDING" | "STOP_PENDING" | "CONTINUE_PENDING" | "PAUSE_PENDING" | "PAUSED" => {
            Some(Activity::Up)
        }
        // 1077 is a service that was not started since the system was
        "STOPPED" if matches!(code, Some(0 | 1077) | None) => Some(Activity::Down),
        "STOPPED" => Some(Activity::Failed),
        _ => None,
    })?;
    let pid = number("PID").and_then(|pid| u32::try_from(pid).ok());
    Some(Condition {
        activity,
        pid: pid.filter(|pid| *pid != 0),
        exit: Exit { code, signal: None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(kind: ServiceKind, operation: Operation) -> String {
        let service = Service {
            kind,
            name: "comfy".to_owned(),
        };
        service.argv(operation).unwrap_or_default().join(" ")
    }

    #[test]
    fn each_operation_has_its_command_line() {
        use ServiceKind::{System, User, Windows};
        let cases = [
            (
                System,
                Operation::Start,
                "systemctl --no-ask-password --no-block start comfy",
            ),
            (
                User,
                Operation::Stop,
                "systemctl --user --no-ask-password --no-block stop comfy",
            ),
            (
                System,
                Operation::Show,
                "systemctl --no-ask-password show -p ActiveState,SubState,MainPID,ExecMainCode,ExecMainStatus comfy",
            ),
            (
                User,
                Operation::Logs(20),
                "journalctl --user -u comfy -n 20 --no-pager -o cat -q",
            ),
            (Windows, Operation::Start, "sc.exe start comfy"),
            (Windows, Operation::Show, "sc.exe queryex comfy"),
            (
                Windows,
                Operation::Kill { pid: Some(7) },
                "taskkill.exe /F /T /PID 7",
            ),
            (Windows, Operation::Logs(20), ""),
        ];
        for (kind, operation, expected) in cases {
            assert_eq!(argv(kind, operation), expected);
        }
    }

    #[test]
    fn what_systemd_says_is_understood() {
        let up = read_systemd(
            "MainPID=812\nExecMainCode=0\nExecMainStatus=0\nActiveState=active\nSubState=running\n",
        );
        let up = up.expect("a condition");
        assert_eq!((up.activity, up.pid), (Activity::Up, Some(812)));
        let dead =
            read_systemd("MainPID=0\nExecMainCode=2\nExecMainStatus=9\nActiveState=failed\nSubState=failed");
        let dead = dead.expect("a condition");
        assert_eq!(
            (dead.activity, dead.pid, dead.exit.signal),
            (Activity::Failed, None, Some(9))
        );
        let again =
            read_systemd("ActiveState=activating\nSubState=auto-restart\nExecMainCode=1\nExecMainStatus=1");
        assert_eq!(again.expect("a condition").activity, Activity::Up);
        let down = read_systemd("ActiveState=inactive\nSubState=dead").expect("a condition");
        assert_eq!((down.activity, down.exit), (Activity::Down, Exit::default()));
        assert!(read_systemd("Failed to connect to bus").is_none());
    }

    #[test]
    fn what_windows_says_is_understood_in_any_language() {
        let text = "SERVICE_NAME: comfy \n        TYP                : 10  WIN32_OWN_PROCESS  \n        STATUS  \
                    : 4  RUNNING \n        WIN32_EXIT_CODE    : 0  (0x0)\n        PID                : 4711\n";
        let up = read_windows(text).expect("a condition");
        assert_eq!((up.activity, up.pid), (Activity::Up, Some(4711)));
        let text = "        STATE              : 1  STOPPED \n        WIN32_EXIT_CODE    : 1067  (0x42b)\n";
        let dead = read_windows(text).expect("a condition");
        assert_eq!((dead.activity, dead.exit.code), (Activity::Failed, Some(1067)));
        let text = "        STATE              : 1  STOPPED \n        WIN32_EXIT_CODE    : 1077  (0x435)\n";
        assert_eq!(read_windows(text).expect("a condition").activity, Activity::Down);
        assert!(read_windows("[SC] OpenService FAILED 1060:").is_none());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_what_it_said() {
        let service = Service {
            kind: ServiceKind::System,
            name: "no-such-unit-here.service".to_owned(),
        };
        if let Err(error) = service.run(Operation::Start).await {
            assert!(
                error.to_string().contains("start no-such-unit-here.service"),
                "{error}"
            );
        } else {
            panic!("a unit that does not exist was started");
        }
    }
}

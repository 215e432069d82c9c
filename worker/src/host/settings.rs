//! The settings of the supervision of ComfyUI.

use std::{path::PathBuf, time::Duration};

use runtime::settings::{ByteSize, Reader};

use super::{
    deaths::Endurance,
    service::{Service, ServiceKind},
    words::{self, Rules},
};

/// How the ComfyUI on this worker's host is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// What is looked after.
    pub subject: Subject,
    /// How long it may take until it answers.
    pub start_timeout: Duration,
    /// How long it may take to stop by itself; then it is ended by force.
    pub stop_timeout: Duration,
    /// The file that takes what it prints; a pid file lies beside it.
    pub log: PathBuf,
    /// The log is rotated when it is larger.
    pub log_max_size: ByteSize,
    /// How many rotated logs are kept.
    pub log_keep: usize,
    /// Whether it is started with the worker, if nothing answers at its address.
    pub autostart: bool,
    /// Whether it goes on when the worker stops in order.
    pub keep: bool,
    /// How its deaths are answered.
    pub endurance: Endurance,
}

/// What is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: somebody else starts and stops ComfyUI.
    Nothing,
    /// A process that the worker starts.
    Command {
        /// The program and its arguments; never empty.
        words: Vec<String>,
        /// Where it runs; the worker's own directory if absent.
        dir: Option<PathBuf>,
    },
    /// A service of the operating system.
    Service(Service),
}

impl HostSettings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            subject: Subject::read(reader),
            start_timeout: reader.get(
                "comfyui.start_timeout",
                "5m",
                "how long ComfyUI may take from its start until it answers; custom nodes can make that minutes",
            ),
            stop_timeout: reader.get(
                "comfyui.stop_timeout",
                "20s",
                "how long ComfyUI may take to stop by itself; after that it and all its child processes are \
                 ended by force",
            ),
            log: reader.get(
                "comfyui.log",
                "data/comfyui/comfyui.log",
                "the file that takes what ComfyUI prints when comfyui.command starts it; rotated logs and a \
                 pid file lie beside it, so that each worker needs a file of its own",
            ),
            log_max_size: reader.get(
                "comfyui.log_max_size",
                "10MiB",
                "ComfyUI's log is rotated when it is larger than this",
            ),
            log_keep: reader.get("comfyui.log_keep", "5", "how many rotated logs of ComfyUI are kept"),
            autostart: reader.get(
                "comfyui.autostart",
                "true",
                "whether ComfyUI is started with the worker, if nothing answers at comfyui.url",
            ),
            keep: reader.get(
                "comfyui.keep",
                "false",
                "whether the ComfyUI that the worker started goes on when the worker stops in order; the next \
                 worker takes it over. It goes on in any case when the worker crashes (a \
                 worker that is a systemd service needs KillMode=process for that)",
            ),
            endurance: Endurance::read(reader),
        };
        settings.check(reader);
        settings
    }

    fn check(&self, reader: &mut Reader) {
        for (key, value) in [
            ("comfyui.start_timeout", self.start_timeout),
            ("comfyui.stop_timeout", self.stop_timeout),
        ] {
            if value < Duration::from_secs(1) {
                reader.fault(key, "must be at least 1s");
            }
        }
        if self.log_max_size < ByteSize(64 << 10) {
            reader.fault("comfyui.log_max_size", "must be at least 64KiB");
        }
        if self.log_keep > 100 {
            reader.fault("comfyui.log_keep", "must be at most 100");
        }
        if self.log.file_name().is_none() {
            reader.fault("comfyui.log", "must name a file");
        }
    }
}

impl Subject {
    fn read(reader: &mut Reader) -> Self {
        let command = reader.optional::<String>(
            "comfyui.command",
            "the program that runs ComfyUI and its arguments, as one text, such as `python main.py --port \
             8188`; the worker then starts it, restarts it when it dies and keeps its log. There is no shell: \
             nothing is expanded. Quote words with spaces: with ' or \" and the backslash as an escape, on \
             Windows only with \" and backslashes as they are. Without it and comfyui.service the worker only \
             uses a ComfyUI that somebody else runs",
        );
        let dir = reader.optional(
            "comfyui.working_dir",
            "the directory in which comfyui.command runs, usually that of ComfyUI's main.py; the worker's own \
             if absent",
        );
        let name = reader.optional::<String>(
            "comfyui.service",
            "a service that runs ComfyUI, instead of comfyui.command: a systemd unit such as comfyui.service, \
             on Windows the name of a service; the worker must be allowed to start and stop it",
        );
        let of_user = reader.get(
            "comfyui.service_user",
            "false",
            "whether comfyui.service is a unit of the user's own systemd (systemctl --user) instead of the \
             system's",
        );
        if command.is_some() && name.is_some() {
            reader.fault("comfyui.service", "cannot be set together with comfyui.command");
        }
        match (command, name) {
            (Some(text), _) => match words::split(&text, Rules::native()) {
                Ok(words) => Self::Command { words, dir },
                Err(fault) => {
                    reader.fault("comfyui.command", fault);
                    Self::Nothing
                }
            },
            (None, Some(name)) => {
                // it becomes an argument of a command that knows options
                if name.starts_with('-') || name.contains(char::is_whitespace) && !cfg!(windows) {
                    reader.fault("comfyui.service", "must be the name of a service");
                }
                Self::Service(Service {
                    kind: ServiceKind::native(of_user),
                    name,
                })
            }
            (None, None) => Self::Nothing,
        }
    }
}

impl Endurance {
    fn read(reader: &mut Reader) -> Self {
        let endurance = Self {
            pause: reader.get(
                "comfyui.restart_pause",
                "1s",
                "the pause before ComfyUI is started again after it died; it doubles with every further death",
            ),
            pause_max: reader.get(
                "comfyui.restart_pause_max",
                "60s",
                "the longest pause before ComfyUI is started again",
            ),
            limit: reader.get(
                "comfyui.restart_limit",
                "5",
                "after this many deaths within comfyui.restart_window ComfyUI stays down until a person starts \
                 it",
            ),
            window: reader.get(
                "comfyui.restart_window",
                "10m",
                "how long a death of ComfyUI counts for comfyui.restart_limit",
            ),
        };
        if endurance.pause < Duration::from_millis(10) {
            reader.fault("comfyui.restart_pause", "must be at least 10ms");
        }
        if endurance.pause_max < endurance.pause {
            reader.fault(
                "comfyui.restart_pause_max",
                "must not be shorter than comfyui.restart_pause",
            );
        }
        if endurance.limit == 0 {
            reader.fault("comfyui.restart_limit", "must be at least 1");
        }
        endurance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> (HostSettings, Vec<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("orchestrator.toml"), toml).expect("written");
        let mut reader = Reader::new(dir.path(), None, []);
        let settings = HostSettings::read(&mut reader);
        let faults = reader.finish().err().unwrap_or_default();
        (settings, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_is_looked_after_unasked() {
        let (settings, faults) = read("");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(settings.subject, Subject::Nothing);
        assert!(settings.autostart && !settings.keep);
    }

    #[test]
    fn a_command_comes_with_its_directory() {
        let (settings, faults) =
            read("[comfyui]\ncommand = \"python main.py --port 8188\"\nworking_dir = \"/opt/ComfyUI\"");
        assert!(faults.is_empty(), "{faults:?}");
        let words = ["python", "main.py", "--port", "8188"]
            .map(str::to_owned)
            .to_vec();
        let dir = Some(PathBuf::from("/opt/ComfyUI"));
        assert_eq!(settings.subject, Subject::Command { words, dir });
    }

    #[test]
    fn a_service_may_be_the_users_own() {
        let (settings, faults) = read("[comfyui]\nservice = \"comfyui.service\"\nservice_user = true");
        assert!(faults.is_empty(), "{faults:?}");
        let expected = Service {
            kind: ServiceKind::native(true),
            name: "comfyui.service".to_owned(),
        };
        assert_eq!(settings.subject, Subject::Service(expected));
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        let (_, faults) = read(
            "[comfyui]\ncommand = [\"python\", \"main.py\"]\nservice = \"--now\"\nstart_timeout = \"0s\"\n\
             log_max_size = \"1B\"\nrestart_limit = 0\nrestart_pause_max = \"1ms\"",
        );
        let all = faults.join("\n");
        assert_eq!(faults.len(), 6, "{all}");
        assert!(
            all.contains("not as a list") && all.contains("together with comfyui.command"),
            "{all}"
        );
        let (_, faults) = read("[comfyui]\nservice = \"--now\"");
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
}

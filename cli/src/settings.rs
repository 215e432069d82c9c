//! All settings of all parts, read together, so that a key which nobody knows is found.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use runtime::{
    broker::BrokerSettings,
    bus::BusSettings,
    settings::{Declared, Fault, Reader},
    store::StoreSettings,
    telemetry::TelemetrySettings,
};
use url::Url;

use crate::{problem::Problem, roles};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) telemetry: TelemetrySettings,
    pub(crate) bus: BusSettings,
    /// The child broker of `up`; not used where somebody set nats.url.
    pub(crate) broker: BrokerSettings,
    pub(crate) gateway: gateway::Settings,
    pub(crate) worker: worker::Settings,
    pub(crate) monitor: monitor::Settings,
    /// The artifact store as the gateway sees it.
    pub(crate) store: StoreSettings,
    /// The gateway that client commands ask.
    pub(crate) client: Url,
    /// As it was read, by key.
    pub(crate) declared: Vec<Declared>,
}

impl Settings {
    /// Reads everything; the faults are told beside it, each where it is not in the way of the others.
    pub(crate) fn read(mut reader: Reader) -> (Self, Vec<Fault>) {
        let gateway = gateway::Settings::read(&mut reader);
        let mut settings = Self {
            telemetry: TelemetrySettings::read(&mut reader),
            bus: BusSettings::read(&mut reader),
            broker: read_broker(&mut reader),
            worker: worker::Settings::read(&mut reader),
            monitor: monitor::Settings::read(&mut reader),
            store: gateway.store.clone(),
            client: read_client(&mut reader, &gateway),
            gateway,
            declared: Vec::new(),
        };
        settings.declared = reader.declared().cloned().collect();
        (settings, reader.finish().err().unwrap_or_default())
    }

    /// The settings of this process; every fault at once.
    pub(crate) fn of_process(config: Option<&Path>) -> Result<Self, Problem> {
        match Self::read(Reader::of_process(config)) {
            (settings, faults) if faults.is_empty() => Ok(settings),
            (_, faults) => Err(Problem::of_settings(&faults)),
        }
    }

    /// Whether somebody chose the value of a setting.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.declared
            .iter()
            .any(|declared| declared.key == key && declared.origin != "default")
    }
}

/// The gateway that a client command asks: the option, or else the setting. Settings of other parts are not
/// looked at, so that a client works beside a broken server configuration.
pub(crate) fn gateway_address(option: Option<&Url>, config: Option<&Path>) -> Result<Url, Problem> {
    if let Some(url) = option {
        return checked(url.clone()).map_err(|fault| Problem::usage(format!("--gateway: {fault}")));
    }
    let mut reader = Reader::of_process(config);
    let listening = gateway::Settings::read(&mut reader);
    let address = read_client(&mut reader, &listening);
    let faults: Vec<Fault> = reader
        .finish()
        .err()
        .unwrap_or_default()
        .into_iter()
        .filter(|fault| fault.key.starts_with("client.") || fault.origin == "the file itself")
        .collect();
    if faults.is_empty() {
        Ok(address)
    } else {
        Err(Problem::of_settings(&faults))
    }
}

fn read_client(reader: &mut Reader, gateway: &gateway::Settings) -> Url {
    let url: Url = reader.get(
        "client.gateway",
        "http://127.0.0.1:8080",
        "the gateway that the client commands ask; if absent, the one that gateway.listen describes",
    );
    let mut declared = reader.declared();
    if declared.any(|declared| declared.key == "client.gateway" && declared.origin == "default") {
        return Url::parse(&roles::local_url(gateway.listen)).unwrap_or(url);
    }
    drop(declared);
    if let Err(fault) = checked(url.clone()) {
        reader.fault("client.gateway", fault);
    }
    url
}

fn checked(url: Url) -> Result<Url, String> {
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("must be an address such as http://127.0.0.1:8080".to_owned())
    }
}

fn read_broker(reader: &mut Reader) -> BrokerSettings {
    let (command, dir, listen): (PathBuf, PathBuf, SocketAddr) = (
        reader.get(
            "broker.command",
            "nats-server",
            "the nats-server that `orchestrator up` starts, unless nats.url is set",
        ),
        reader.get(
            "broker.dir",
            "data/broker",
            "where that nats-server keeps its data and its log",
        ),
        reader.get(
            "broker.listen",
            "127.0.0.1:4222",
            "where that nats-server listens; port 0 takes a free one",
        ),
    );
    if !listen.ip().is_loopback() {
        reader.fault(
            "broker.listen",
            "must be a loopback address: the child broker asks nobody for a password; \
             for other hosts run a nats-server of your own and set nats.url",
        );
    }
    BrokerSettings { command, dir, listen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> (Settings, Vec<Fault>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("orchestrator.toml"), toml).expect("written");
        Settings::read(Reader::new(dir.path(), None, []))
    }

    #[test]
    fn the_defaults_are_without_fault() {
        let (settings, faults) = read("");
        assert_eq!(faults, []);
        assert!(!settings.is_set("nats.url"));
        assert_eq!(settings.client.as_str(), "http://127.0.0.1:8080/");
    }

    /// What the example says is what can be set, and its keys stay keys that nobody has filled in.
    #[test]
    fn the_example_of_an_env_file_is_without_fault() {
        let example = include_str!("../../.env.example");
        let set = |line: &str| {
            line.strip_prefix('#')
                .filter(|rest| rest.contains('='))
                .map(str::to_owned)
        };
        let lines: Vec<String> = example.lines().filter_map(set).collect();
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(".env"), lines.join("\n")).expect("written");
        let (settings, faults) = Settings::read(Reader::new(dir.path(), None, []));
        assert_eq!(faults, []);
        let paid = settings.gateway.paid;
        assert!(paid.allow && paid.unpriced.is_some());
        assert!(
            paid.budgets
                .total
                .is_some_and(|total| Some(total) > paid.budgets.day),
            "{paid:?}"
        );
        assert!(settings.worker.flux_key().is_none());
    }

    #[test]
    fn a_key_that_no_part_knows_is_found() {
        let (_, faults) = read("[broker]\ncomand = \"x\"\n[gateway]\nlisten = \"127.0.0.1:1\"");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].message.contains("broker.command"), "{faults:?}");
    }

    #[test]
    fn an_open_child_broker_and_a_strange_gateway_are_refused() {
        let (settings, faults) = read("[broker]\nlisten = \"0.0.0.0:4222\"\n[client]\ngateway = \"ftp://x\"");
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["broker.listen", "client.gateway"]);
        assert!(settings.is_set("broker.listen"));
    }

    #[test]
    fn clients_ask_the_gateway_of_the_same_settings() {
        let (settings, _) = read("[gateway]\nlisten = \"127.0.0.1:9\"");
        assert_eq!(settings.client.as_str(), "http://127.0.0.1:9/");
        let (settings, _) = read("[gateway]\nlisten = \"127.0.0.1:9\"\n[client]\ngateway = \"http://far:1\"");
        assert_eq!(settings.client.as_str(), "http://far:1/");
    }

    #[test]
    fn the_option_goes_before_the_setting() {
        let url: Url = "http://elsewhere:1".parse().expect("an address");
        assert_eq!(gateway_address(Some(&url), None), Ok(url));
        let wrong: Url = "mailto:me".parse().expect("an address");
        assert!(gateway_address(Some(&wrong), None).is_err());
    }
}

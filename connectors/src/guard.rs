//! Which addresses that a vendor names in an answer may be asked, and which of them may see the key.
//!
//! An answer that names an address must not make this process ask hosts of the network that it stands in. So
//! only https to public addresses goes, by name or by number, and names are looked at again when they are
//! resolved. What a person configured is trusted: the base address itself, and, where that is a local one (a
//! simulator), everything on the loopback interface and on its host.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Origin, Url};

/// An address that is not asked. It shows no more of it than scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin} is not asked: {reason}")]
pub struct Refusal {
    /// Scheme, host and port; less where there is less.
    pub origin: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

const NOT_PUBLIC: &str = "it is not a public address";

/// What may be asked beside a configured address.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    home: Origin,
    /// The host of the base.
    host: Option<Host<String>>,
    /// Whether the base is a simulator or the like, and not a service of the Internet.
    local: bool,
    /// The vendor's domain, whose hosts may see the key.
    domain: &'static str,
}

/// Resolves names and leaves out what the guard does not let pass.
#[derive(Debug)]
pub(crate) struct Resolver {
    /// Names that a person configured: the base, and the proxy.
    trusted: Vec<String>,
    local: bool,
}

impl Guard {
    /// The guard of a vendor at `base`, whose own hosts are `domain` and those below it.
    pub(crate) fn new(base: &Url, domain: &'static str) -> Self {
        Self {
            home: base.origin(),
            host: base.host().map(|host| host.to_owned()),
            local: base.host().is_some_and(|host| is_local(&host)),
            domain,
        }
    }

    /// Whether the base is a local address.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    /// Reads an address that the vendor named, if it may be asked.
    pub(crate) fn pass(&self, address: &str) -> Result<Url, Refusal> {
        let url = Url::parse(address).map_err(|_| Refusal {
            origin: "what was named".to_owned(),
            reason: "it is no address",
        })?;
        match self.fault(&url) {
            None => Ok(url),
            Some(reason) => Err(Refusal {
                origin: shown(&url),
                reason,
            }),
        }
    }

    fn fault(&self, url: &Url) -> Option<&'static str> {
        if !url.username().is_empty() || url.password().is_some() {
            return Some("it carries credentials");
        }
        let Some(host) = url.host().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Some("it is neither http nor https");
        };
        let beside = self.local && (is_loopback(&host) || Some(host.to_owned()) == self.host);
        if url.origin() == self.home || beside {
            None
        } else if is_local(&host) {
            Some(NOT_PUBLIC)
        } else if url.scheme() != "https" {
            Some("it is not https")
        } else {
            None
        }
    }

    /// Whether the key may be sent to an address: the origin of the base, and the vendor's own hosts.
    pub(crate) fn key_may_go(&self, url: &Url) -> bool {
        let own = |host: &str| {
            let before = host.strip_suffix(self.domain);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        url.origin() == self.home || (url.scheme() == "https" && url.domain().is_some_and(own))
    }

    /// What resolves names for a client that asks what passed.
    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        let base = self.host.as_ref().map(Host::to_string);
        // a proxy is on the own network more often than not, and the names behind it are resolved by it
        let origin = self.home.ascii_serialization().parse().ok();
        let proxy = origin.and_then(|origin| Matcher::from_env().intercept(&origin));
        let proxy = proxy.and_then(|proxy| Some(proxy.uri().host()?.to_owned()));
        Arc::new(Resolver {
            trusted: base.into_iter().chain(proxy).collect(),
            local: self.local,
        })
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let trusted = self.trusted.iter().any(|known| known.eq_ignore_ascii_case(&name));
        let local = self.local;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let kept = if trusted {
                found
            } else {
                filtered(&name, found, local)?
            };
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name that may be asked; an error if it has others only.
fn filtered(name: &str, mut found: Vec<SocketAddr>, local: bool) -> Result<Vec<SocketAddr>, Refusal> {
    let any = !found.is_empty();
    found.retain(|address| {
        let address = address.ip();
        is_public(address) || (local && address.is_loopback())
    });
    if any && found.is_empty() {
        return Err(Refusal {
            origin: name.to_owned(),
            reason: NOT_PUBLIC,
        });
    }
    Ok(found)
}

/// The refusal of the resolver that made a request fail, if one did.
pub(crate) fn refusal_in(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

/// Scheme, host and port, without credentials, path and query.
pub(crate) fn shown(url: &Url) -> String {
    match url.origin() {
        origin @ Origin::Tuple(..) => origin.ascii_serialization(),
        Origin::Opaque(_) => format!("{}:…", url.scheme()),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// Whether a host is no public one by its looks: a number that is not, or a name of a local network.
fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => !is_public((*address).into()),
        Host::Ipv6(address) => !is_public((*address).into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let inside = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
            !name.contains('.') || inside.iter().any(|end| name.ends_with(end))
        }
    }
}

/// Whether an address can be one of the Internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let special = match first {
        // this network, loopback; multicast, reserved, broadcast
        0 | 127 | 224.. => true,
        // shared by the customers of a provider
        100 => (64..128).contains(&second),
        // protocol assignments; what 6to4 relays had
        192 => matches!((second, third), (0, 0) | (88, 99)),
        // benchmarks
        198 => matches!(second, 18 | 19),
        _ => false,
    };
    !(special || address.is_private() || address.is_link_local() || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4 in IPv6: mapped, translated by NAT64, tunnelled by 6to4
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        // protocol assignments with Teredo, documentation
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] => second >= 0x1000,
        // all that is given out as global unicast; loopback, unique local, link local and the rest are not
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(base: &str) -> Guard {
        Guard::new(&Url::parse(base).unwrap(), "bfl.ai")
    }

    #[test]
    fn a_service_of_the_internet_names_public_https_addresses_only() {
        let guard = guard("https://api.bfl.ai");
        for good in [
            "https://api.us1.bfl.ai/v1/get_result?id=1",
            "https://delivery.example.com/x?sig=1",
            "https://1.1.1.1/x",
            "https://[2606:4700::1111]/",
            "https://api.bfl.ai:8443/",
        ] {
            assert!(guard.pass(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.us1.bfl.ai/",
            "https://localhost/",
            "https://localhost.:443/",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://0.0.0.0/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2001::1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://router/",
            "https://metadata.google.internal/",
            "https://printer.local/",
            "https://me:secret@api.bfl.ai/",
            "ftp://api.bfl.ai/",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "//api.bfl.ai/",
            "",
        ] {
            assert!(guard.pass(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_simulator_may_name_its_own_host_and_no_other_one_inside() {
        let guard = guard("http://127.0.0.1:4000/");
        for good in [
            "http://127.0.0.1:4001/x",
            "http://localhost:9/",
            "http://[::1]:9/",
            "https://api.bfl.ai/",
        ] {
            assert!(guard.pass(good).is_ok(), "{good}");
        }
        for bad in ["http://192.168.1.1/", "http://api.bfl.ai/", "https://router/"] {
            assert!(guard.pass(bad).is_err(), "{bad}");
        }
        let composed = self::guard("http://flux:4000/");
        assert!(composed.pass("http://flux:4001/x").is_ok());
        assert!(composed.pass("http://other:4001/x").is_err());
    }

    #[test]
    fn the_key_goes_home_and_to_the_vendor_and_nowhere_else() {
        let url = |text: &str| Url::parse(text).unwrap();
        let simulated = guard("http://127.0.0.1:4000/");
        assert!(simulated.key_may_go(&url("http://127.0.0.1:4000/v1/get_result?id=1")));
        assert!(!simulated.key_may_go(&url("http://127.0.0.1:4001/v1/get_result?id=1")));
        assert!(!simulated.key_may_go(&url("https://127.0.0.1:4000/v1/get_result?id=1")));
        assert!(!simulated.key_may_go(&url("http://localhost:4000/")));
        let real = guard("https://api.bfl.ai");
        for good in [
            "https://api.bfl.ai/v1/credits",
            "https://bfl.ai/",
            "https://api.us1.bfl.ai/",
        ] {
            assert!(real.key_may_go(&url(good)), "{good}");
        }
        for bad in [
            "http://api.bfl.ai/",
            "https://evilbfl.ai/",
            "https://bfl.ai.example.com/",
        ] {
            assert!(!real.key_may_go(&url(bad)), "{bad}");
        }
    }

    #[test]
    fn private_addresses_of_a_name_are_left_out() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
                .collect()
        };
        let mixed = addresses(&["10.0.0.1", "1.1.1.1", "::1", "127.0.0.1"]);
        assert_eq!(filtered("x", mixed.clone(), false), Ok(addresses(&["1.1.1.1"])));
        assert_eq!(
            filtered("x", mixed, true),
            Ok(addresses(&["1.1.1.1", "::1", "127.0.0.1"]))
        );
        let refusal = filtered("rebound.example.com", addresses(&["192.168.0.1"]), false).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "rebound.example.com is not asked: it is not a public address"
        );
        assert_eq!(filtered("x", Vec::new(), false), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_host_is_refused_when_it_is_asked() {
        crate::install_tls();
        let resolver = guard("https://api.bfl.ai").resolver();
        let client = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .unwrap();
        let error = client.get("http://localhost:9/").send().await.unwrap_err();
        let refusal = refusal_in(&error).expect("a refusal in the chain");
        assert_eq!(refusal.reason, NOT_PUBLIC);
    }

    #[test]
    fn a_refusal_shows_neither_path_nor_query() {
        let refusal = guard("https://api.bfl.ai")
            .pass("http://10.0.0.1:8080/x?sig=secret")
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "http://10.0.0.1:8080 is not asked: it is not a public address"
        );
    }
}

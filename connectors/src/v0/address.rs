//! Which addresses the key may be sent to.

use url::Url;

use super::error::Error;

/// Whether the key may be sent there: by https, or to somewhere nearby.
pub fn check_address(base: &Url) -> Result<(), Error> {
    let reason = match base.scheme() {
        "https" => None,
        "http" if is_nearby(base) => None,
        "http" => Some("plain http would show the key to everybody in between; use https"),
        _ => Some("its scheme must be https"),
    };
    let reason = reason.or_else(|| {
        let bare = base.query().is_none() && base.fragment().is_none();
        let anonymous = base.username().is_empty() && base.password().is_none();
        (!bare || !anonymous).then_some("it must not carry credentials, a query or a fragment")
    });
    match reason {
        Some(reason) => Err(Error::Address {
            reason: reason.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Whether the way there stays in this machine or this network: loopback and private addresses, and names
/// without a dot, as containers have them.
pub(super) fn is_nearby(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(url::Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
        Some(url::Host::Domain(name)) => !name.contains('.') || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_would_show_the_key_are_refused() {
        let check = |address: &str| check_address(&Url::parse(address).expect("an address"));
        for bad in [
            "http://api.v0.dev",
            "http://203.0.113.5",
            "http://8.8.8.8:8080",
            "ftp://api.v0.dev",
            "https://me@api.v0.dev",
            "https://api.v0.dev/?x=1",
        ] {
            assert!(matches!(check(bad), Err(Error::Address { .. })), "{bad}");
        }
        for good in [
            "https://api.v0.dev",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://10.1.2.3",
            "http://v0:8080",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }
}

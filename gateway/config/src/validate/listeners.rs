//! `[[listener]]`.

use std::collections::HashMap;
use std::net::SocketAddr;

use policy::IpNet;

use super::names::Names;
use super::process::{ADDRESS, address};
use super::timeouts::Timeouts;
use super::{all, limits, networks, timeouts};
use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::{Certificate, Listener, Origin, pem};

pub(super) struct Listeners<'a> {
    pub(super) names: Names<'a>,
    pub(super) entries: Result<Vec<Listener>, Missing>,
}

pub(super) fn listeners<'a>(
    sections: Vec<Section<'a>>,
    taken: &mut Taken,
    limits: Result<limits::Defaults, Missing>,
    timeouts: Result<Timeouts, Missing>,
) -> Listeners<'a> {
    let mut names = Names::new("listener");
    let sections = sections.into_iter();
    let entries =
        all(sections.map(|section| listener(section, &mut names, taken, limits, timeouts)));
    Listeners { names, entries }
}

fn listener<'a>(
    mut section: Section<'a>,
    names: &mut Names<'a>,
    taken: &mut Taken,
    limits: Result<limits::Defaults, Missing>,
    timeouts: Result<Timeouts, Missing>,
) -> Result<Listener, Missing> {
    let name = names.read(&mut section);
    let address = section
        .text("address", ADDRESS)
        .and_then(|text| address(section.context(), &text))
        .and_then(|address| taken.take(section.context(), address));
    let everyone = "any client could then choose its own address";
    let proxies = section.key("proxy_protocol_from");
    let proxy_protocol_from = networks(section.context(), proxies, everyone);
    let http3 = http3(&mut section, proxy_protocol_from.as_deref());
    let limits = limits::of_listener(section.section("limits"), limits);
    let timeouts = timeouts::of_listener(section.section("timeouts"), timeouts);
    let certificates = section.sections("certificate");
    let certificates = all(certificates.into_iter().map(certificate));
    section.finish();
    Ok(Listener {
        name: name?.into(),
        address: address?,
        proxy_protocol_from: proxy_protocol_from?,
        http3: http3?,
        limits: limits?,
        timeouts: timeouts?,
        certificates: certificates?,
    })
}

/// `http3`, unless clients come by way of proxies: what they say of a client comes by TCP alone, and a
/// QUIC client of that address would be taken for the proxy.
fn http3(section: &mut Section<'_>, proxies: Result<&[IpNet], &Missing>) -> Result<bool, Missing> {
    let http3 = section.switch("http3", false)?;
    if http3 && proxies.is_ok_and(|proxies| !proxies.is_empty()) {
        let message = "PROXY protocol has no form for QUIC; expected http3 = false, or no \
                       proxy_protocol_from";
        return Err(section.context().fault(&section.place("http3"), message));
    }
    Ok(http3)
}

fn certificate(mut section: Section<'_>) -> Result<Certificate, Missing> {
    let chain = section.text(
        "chain",
        "the path of a PEM file with the certificates, leaf first",
    );
    let key = section.text("key", "the path of a PEM file with the private key");
    let context = section.context();
    section.finish();
    pem::certificate(context, chain, key)
}

/// The addresses in use, and whose they are. Two listeners on one address would not fail to bind
/// (`SO_REUSEPORT`): the kernel would give each a share of the connections.
#[derive(Default)]
pub(super) struct Taken(HashMap<SocketAddr, String>);

impl Taken {
    /// Takes an address; a fault if it is taken already. Port 0 never is.
    pub(super) fn take(
        &mut self,
        context: &Context<'_>,
        (address, origin): (SocketAddr, Origin),
    ) -> Result<(SocketAddr, Origin), Missing> {
        if address.port() == 0 {
            return Ok((address, origin));
        }
        match self.0.get(&address) {
            Some(owner) => {
                let message = format!("{owner} has this address already");
                Err(context.fault(&origin, message))
            }
            None => {
                self.0.insert(address, origin.key.clone());
                Ok((address, origin))
            }
        }
    }
}

//! What a header says.

use crate::Address;

/// What a trusted proxy said about the connection that it passes on.
///
/// See the [module](super) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    version: u8,
    local: bool,
    addresses: Option<(Address, Address)>,
    tlvs: Box<[u8]>,
}

impl ProxyHeader {
    pub(super) fn new(version: u8, source: Address, destination: Address, tlvs: &[u8]) -> Self {
        Self {
            version,
            local: false,
            addresses: Some((source, destination)),
            tlvs: tlvs.into(),
        }
    }

    /// From a proxy that does not know, or does not say.
    pub(super) fn unknown(version: u8) -> Self {
        Self {
            version,
            local: false,
            addresses: None,
            tlvs: Box::default(),
        }
    }

    /// Of a connection that is the proxy's own.
    pub(super) fn local(version: u8) -> Self {
        Self {
            local: true,
            ..Self::unknown(version)
        }
    }

    pub(super) fn with_tlvs(self, tlvs: &[u8]) -> Self {
        Self {
            tlvs: tlvs.into(),
            ..self
        }
    }

    /// The version of the protocol: 1 or 2.
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Whether the connection is the proxy's own, such as a health check (`LOCAL`, in version 2). There is no source then.
    pub const fn is_local(&self) -> bool {
        self.local
    }

    /// Who opened the connection to the proxy. `None` if it is the proxy's own, or the proxy does not say.
    pub fn source(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(source, _)| source)
    }

    /// Where that connection went to.
    pub fn destination(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(_, destination)| destination)
    }

    /// Everything else that was said, as it was sent. Nothing, in version 1.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(&self.tlvs)
    }

    /// The first value of this kind. Those from `0xE0` on are the makers' own: `0xEA` is the VPC endpoint at AWS, `0xEE` the private
    /// endpoint at Azure.
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs()
            .find(|tlv| tlv.kind == kind)
            .map(|tlv| tlv.value)
    }

    /// The protocol that the client and the proxy agreed on (`PP2_TYPE_ALPN`).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlv(0x01)
    }

    /// The host name that the client asked the proxy for (`PP2_TYPE_AUTHORITY`), mostly by SNI.
    pub fn authority(&self) -> Option<&str> {
        self.text(0x02)
    }

    /// The number of the connection in the proxy's log (`PP2_TYPE_UNIQUE_ID`).
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlv(0x05)
    }

    /// The network namespace that the connection came to (`PP2_TYPE_NETNS`).
    pub fn namespace(&self) -> Option<&str> {
        self.text(0x30)
    }

    /// What TLS was like between the client and the proxy (`PP2_TYPE_SSL`). `None` if there was none, or the proxy does not say.
    pub fn tls(&self) -> Option<ProxiedTls<'_>> {
        let (head, tlvs) = self.tlv(0x20)?.split_first_chunk::<5>()?;
        let [flags, verify @ ..] = *head;
        // `PP2_CLIENT_SSL`.
        (flags & 1 != 0).then_some(ProxiedTls {
            flags,
            verify: u32::from_be_bytes(verify),
            tlvs: Tlvs::new(tlvs),
        })
    }

    fn text(&self, kind: u8) -> Option<&str> {
        std::str::from_utf8(self.tlv(kind)?).ok()
    }
}

/// One more thing that was said, in version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// What it is about.
    pub kind: u8,
    /// What is said.
    pub value: &'a [u8],
}

/// All of them, in order. What is cut off ends them.
#[derive(Clone, Debug)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Those that are still to come, as they were sent.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let ([kind, high, low], rest) = self.0.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
        self.0 = rest;
        Some(Tlv { kind: *kind, value })
    }
}

/// TLS between a client and the proxy, as the proxy tells it.
#[derive(Clone, Debug)]
pub struct ProxiedTls<'a> {
    flags: u8,
    verify: u32,
    tlvs: Tlvs<'a>,
}

impl<'a> ProxiedTls<'a> {
    /// Whether the client showed a certificate in this session (`PP2_CLIENT_CERT_SESS`) and the proxy found it good.
    pub const fn is_client_verified(&self) -> bool {
        // Zero is good. The proxy also says so if there was nothing to verify.
        self.flags & 0b100 != 0 && self.verify == 0
    }

    /// The version, such as `TLSv1.3`.
    pub fn version(&self) -> Option<&'a str> {
        self.text(0x21)
    }

    /// The common name of the client's certificate. Only to be believed if it [was verified](Self::is_client_verified).
    pub fn common_name(&self) -> Option<&'a str> {
        self.text(0x22)
    }

    /// The cipher suite, by OpenSSL's name.
    pub fn cipher(&self) -> Option<&'a str> {
        self.text(0x23)
    }

    /// Everything that was said about it.
    pub fn tlvs(&self) -> Tlvs<'a> {
        self.tlvs.clone()
    }

    fn text(&self, kind: u8) -> Option<&'a str> {
        let tlv = self.tlvs().find(|tlv| tlv.kind == kind)?;
        std::str::from_utf8(tlv.value).ok()
    }
}

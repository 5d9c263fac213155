//! What makes TLS less than it seems.
//!
//! Each of these lets somebody between the two ends pass for the server. They are for tests, for a first look at a device, and for
//! nothing that holds a secret. A certificate that the platform does not trust is better [trusted](crate::TrustAnchors::from_pem)
//! than not verified, and one for another name better [asked for by that name](crate::ClientTls::server_name).
//!
//! A `tracing` event at warn level says so whenever such settings are put to use, and every connection says so in
//! [`TlsInfo::verification`](crate::TlsInfo::verification).

use crate::{ClientTls, Verification};

/// Accepts a certificate for any name, of a server that leads to a trusted root. Revocation is still looked at.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// # let root = rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap().cert.pem();
/// use bartizan_tls::{ClientTls, Provider, TlsConnectorLayer, TrustAnchors, dangerous};
///
/// let anchors = TrustAnchors::from_pem(root.as_bytes()).unwrap();
/// let settings = dangerous::any_name(ClientTls::new(Provider::aws_lc(), anchors));
/// assert!(TlsConnectorLayer::try_new(settings).is_ok());
/// # }
/// ```
pub fn any_name(settings: ClientTls) -> ClientTls {
    settings.verification(Verification::PathOnly)
}

/// Accepts any certificate, by anybody, for any name and of any age. The server has to own its key, and no more. Revocation is not
/// looked at: there is no issuer to ask.
pub fn any_certificate(settings: ClientTls) -> ClientTls {
    settings.verification(Verification::Nothing)
}

//! Tickets that several processes can read.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bartizan_core::ConfigError;
use rustls::{
    ContentType, ProtocolVersion, SupportedCipherSuite, Tls13CipherSuite,
    crypto::{
        CryptoProvider, SecureRandom,
        cipher::{AeadKey, InboundOpaqueMessage, Iv, OutboundChunks, OutboundPlainMessage},
        tls13::OkmBlock,
    },
    server::ProducesTickets,
};
use sha2::{Digest, Sha256};

use crate::options::SharedClock;

/// More than two are there while processes get to know a new one; so many are never needed, and each is tried by its name alone.
const MAX_KEYS: usize = 8;

/// As long as rustls lets its own count.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// How far the clocks of the processes may be apart.
const SKEW: Duration = Duration::from_secs(300);

/// What a record of TLS holds, less the time in it.
const MAX_SESSION: usize = (16 << 10) - 8;

const NAME: usize = 16;
const SALT: usize = 32;

/// Keys of tickets that several processes share, so that a client resumes its session at whichever of them a balancer sends it to.
///
/// Without them each process has keys of its own, replaced every 6 h, and a client that comes to another one makes a full handshake.
/// That is safer, and with a few processes nearly as fast. What these keys give up: whoever gets one can decrypt the tickets that were
/// made with it, and over TLS 1.2 the connections that they belong to. Over TLS 1.3 a resumed connection has a key exchange of its own,
/// and stays closed to them.
///
/// The first key encrypts, all of them decrypt. Get them to all processes by the way that other secrets take, and replace them at least
/// twice a day: first have every process know the new one as the *last*, then as the *first*, and in the end forget the old one. No
/// ticket counts for more than 12 h, whoever forgets to.
///
/// A ticket counts only where the policy is the one it was made by: whether clients are asked for a certificate, and by which roots they
/// are known. So a reload that leaves the policy alone leaves the tickets, too, and one that changes it ends them. The processes have
/// to have the same provider and clocks that are less than 5 minutes apart; if not, sessions are not resumed, and that is all.
///
/// Its clones are one and the same.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// # let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
/// # let key = made.signing_key.serialized_der();
/// # let identity = bartizan_tls::Identity::from_der(&bartizan_tls::Provider::aws_lc(), [made.cert.der().to_vec()], key).unwrap();
/// # let (today, tomorrow) = ([7; 32], [8; 32]);
/// use bartizan_tls::{ListenerTls, Provider, TicketKeys, TlsAcceptor};
///
/// // 32 random bytes each, by the way that secrets take.
/// let keys = TicketKeys::try_new([today]).unwrap();
/// let settings = ListenerTls::new(Provider::aws_lc()).identity(identity).ticket_keys(keys.clone());
/// let acceptor = TlsAcceptor::try_new(settings).unwrap();
///
/// // While it runs: the new one is known, then used, and the old one forgotten.
/// keys.replace([today, tomorrow]).unwrap();
/// keys.replace([tomorrow, today]).unwrap();
/// keys.replace([tomorrow]).unwrap();
/// # let _ = acceptor;
///
/// // One that was never set.
/// let error = TicketKeys::try_new([[0; 32]]).unwrap_err();
/// assert_eq!(error.to_string(), "invalid ticket_keys `key 1`: expected 32 random bytes, and not zeros");
/// # }
/// ```
#[derive(Clone)]
pub struct TicketKeys(Arc<RwLock<Arc<[Secret]>>>);

struct Secret {
    /// Which key a ticket is encrypted by. It tells nothing of the key.
    name: [u8; NAME],
    /// It is wiped when it is dropped.
    key: OkmBlock,
}

impl TicketKeys {
    /// Keys of 32 random bytes each. The first encrypts.
    ///
    /// # Errors
    ///
    /// If there is none, or more than 8; if one is all zeros, or is there twice.
    pub fn try_new(keys: impl IntoIterator<Item = [u8; 32]>) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(RwLock::new(secrets(keys)?))))
    }

    /// Replaces them, wherever these and their clones are used, from the next handshake on.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Self::try_new). Those in force stay so.
    pub fn replace(&self, keys: impl IntoIterator<Item = [u8; 32]>) -> Result<(), ConfigError> {
        let next = secrets(keys)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn current(&self) -> Arc<[Secret]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What makes and reads tickets by these keys and this policy.
    pub(crate) fn tickets(
        &self,
        crypto: &CryptoProvider,
        policy: [u8; 32],
        clock: SharedClock,
    ) -> Result<Arc<dyn ProducesTickets>, ConfigError> {
        // One that all providers have, if this one does, and whatever suites it is limited to for connections.
        let suites = crypto.cipher_suites.iter();
        let suite = suites
            .filter_map(SupportedCipherSuite::tls13)
            // Keys of 32 bytes are what is derived.
            .filter(|suite| suite.aead_alg.key_len() == 32)
            .max_by_key(|suite| u16::from(suite.common.suite))
            .ok_or_else(|| {
                ConfigError::new(
                    "ticket_keys",
                    "given",
                    "a provider with a suite of TLS 1.3 whose keys are of 256 bits",
                )
            })?;
        Ok(Arc::new(Tickets {
            keys: self.clone(),
            suite,
            random: crypto.secure_random,
            policy,
            clock,
        }))
    }
}

fn secrets(keys: impl IntoIterator<Item = [u8; 32]>) -> Result<Arc<[Secret]>, ConfigError> {
    let wrong = |value, expected| Err(ConfigError::new("ticket_keys", value, expected));
    let mut secrets = Vec::<Secret>::new();
    for (index, key) in keys.into_iter().enumerate() {
        let what = format!("key {}", index + 1);
        if index == MAX_KEYS {
            return wrong(what, "at most 8 keys");
        }
        if key == [0; 32] {
            return wrong(what, "32 random bytes, and not zeros");
        }
        let mut hash = Sha256::new();
        hash.update(b"bartizan: name of a ticket key");
        hash.update(key);
        let mut name = [0; NAME];
        name.copy_from_slice(&hash.finalize()[..NAME]);
        if secrets.iter().any(|other| other.name == name) {
            return wrong(what, "each key once");
        }
        let key = OkmBlock::new(&key);
        secrets.push(Secret { name, key });
    }
    if secrets.is_empty() {
        return wrong("none".to_owned(), "at least one key");
    }
    Ok(secrets.into())
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys")
            .field("len", &self.current().len())
            .finish_non_exhaustive()
    }
}

/// A ticket is the name of its key, a salt, and a record of TLS 1.3 that holds the time and the session: encrypted by a key that salt,
/// policy and suite make of the secret one. So each has a key of its own, and none is used twice, however many processes make them.
struct Tickets {
    keys: TicketKeys,
    suite: &'static Tls13CipherSuite,
    random: &'static dyn SecureRandom,
    policy: [u8; 32],
    clock: SharedClock,
}

impl Tickets {
    fn derive(&self, secret: &Secret, salt: &[u8]) -> Option<(AeadKey, Iv)> {
        let expander = self.suite.hkdf_provider.expander_for_okm(&secret.key);
        let suite = u16::from(self.suite.common.suite).to_be_bytes();
        let expand = |what: &[u8], output: &mut [u8]| {
            expander.expand_slice(
                &[b"bartizan: ticket ", what, &suite, &self.policy, salt],
                output,
            )
        };
        let (mut key, mut iv) = ([0; 32], [0; 12]);
        expand(b"key", &mut key).ok()?;
        expand(b"iv", &mut iv).ok()?;
        Some((AeadKey::from(key), Iv::new(iv)))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > MAX_SESSION {
            return None;
        }
        let keys = self.keys.current();
        let secret = keys.first()?;
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).ok()?;
        let (key, iv) = self.derive(secret, &salt)?;
        let now = self.clock.now().as_secs().to_be_bytes();
        let sealed = self
            .suite
            .aead_alg
            .encrypter(key, iv)
            .encrypt(
                OutboundPlainMessage {
                    typ: ContentType::ApplicationData,
                    version: ProtocolVersion::TLSv1_3,
                    payload: OutboundChunks::new(&[&now, session]),
                },
                0,
            )
            .ok()?;
        let sealed = sealed.payload.as_ref();
        Some([&secret.name[..], &salt, sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        let keys = self.keys.current();
        let secret = keys.iter().find(|secret| secret.name == name)?;
        let (key, iv) = self.derive(secret, salt)?;
        let mut sealed = sealed.to_vec();
        let message = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            &mut sealed,
        );
        let mut opener = self.suite.aead_alg.decrypter(key, iv);
        let opened = opener.decrypt(message, 0).ok()?;
        let (made, session) = opened.payload.split_first_chunk::<8>()?;
        let (made, now) = (u64::from_be_bytes(*made), self.clock.now().as_secs());
        let counts = made <= now.saturating_add(SKEW.as_secs())
            && now.saturating_sub(made) < LIFETIME.as_secs();
        counts.then(|| session.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "aws-lc")]
mod tests {
    use std::time::SystemTime;

    use bartizan_core::Clock as _;
    use bartizan_testing::ManualClock;
    use proptest::prelude::*;

    use super::*;
    use crate::Provider;

    fn clock() -> ManualClock {
        ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000))
    }

    fn tickets(keys: &TicketKeys, policy: u8, clock: &ManualClock) -> Arc<dyn ProducesTickets> {
        let clock = SharedClock::new(clock.clone());
        keys.tickets(Provider::aws_lc().crypto(), [policy; 32], clock)
            .unwrap()
    }

    #[test]
    fn another_process_with_the_key_reads_them_and_nobody_else() {
        let clock = clock();
        let (old, new) = ([1; 32], [2; 32]);
        let keys = TicketKeys::try_new([old]).unwrap();
        let ticket = tickets(&keys, 0, &clock).encrypt(b"a session").unwrap();
        assert!(!ticket.windows(9).any(|window| window == b"a session"));

        let there = TicketKeys::try_new([new, old]).unwrap();
        let process = tickets(&there, 0, &clock);
        assert_eq!(process.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(tickets(&there, 1, &clock).decrypt(&ticket), None, "policy");
        let newer = process.encrypt(b"a session").unwrap();
        assert_eq!(tickets(&keys, 0, &clock).decrypt(&newer), None, "new key");
        there.replace([new]).unwrap();
        assert_eq!(process.decrypt(&ticket), None, "forgotten");
        assert!(process.decrypt(&newer).is_some());
    }

    #[test]
    fn they_end_though_the_keys_do_not() {
        let clock = clock();
        let keys = TicketKeys::try_new([[1; 32]]).unwrap();
        let tickets = tickets(&keys, 0, &clock);
        let ticket = tickets.encrypt(b"a session").unwrap();
        clock.advance(LIFETIME - Duration::from_secs(1));
        assert!(tickets.decrypt(&ticket).is_some());
        clock.advance(Duration::from_secs(1));
        assert_eq!(tickets.decrypt(&ticket), None);
        // Of a process whose clock is ahead.
        let ticket = tickets.encrypt(b"a session").unwrap();
        clock.set(self::clock().now() + LIFETIME - SKEW);
        assert!(tickets.decrypt(&ticket).is_some());
        clock.set(self::clock().now() + LIFETIME - SKEW - Duration::from_secs(1));
        assert_eq!(tickets.decrypt(&ticket), None);
    }

    #[test]
    fn a_session_that_is_too_large_has_no_ticket() {
        let keys = TicketKeys::try_new([[1; 32]]).unwrap();
        let tickets = tickets(&keys, 0, &clock());
        let largest = vec![7; MAX_SESSION];
        let ticket = tickets.encrypt(&largest).unwrap();
        assert_eq!(tickets.decrypt(&ticket), Some(largest));
        assert_eq!(tickets.encrypt(&[7; MAX_SESSION + 1]), None);
    }

    #[test]
    fn keys_that_are_none_are_refused_and_change_nothing() {
        let keys = TicketKeys::try_new([[1; 32]]).unwrap();
        let many = (1..10).map(|key| [key; 32]);
        for (given, value) in [
            (vec![], "none"),
            (vec![[1; 32], [0; 32]], "key 2"),
            (vec![[1; 32], [1; 32]], "key 2"),
            (many.collect(), "key 9"),
        ] {
            assert_eq!(keys.replace(given).unwrap_err().value(), value);
            assert_eq!(keys.current().len(), 1);
        }
    }

    proptest! {
        #[test]
        fn one_that_was_changed_anywhere_is_none(at in any::<prop::sample::Index>(), change in 1_u8.., cut in any::<bool>()) {
            let keys = TicketKeys::try_new([[1; 32]]).unwrap();
            let tickets = tickets(&keys, 0, &clock());
            let mut ticket = tickets.encrypt(b"a session").unwrap();
            let at = at.index(ticket.len());
            if cut {
                ticket.truncate(at);
            } else {
                ticket[at] ^= change;
            }
            prop_assert_eq!(tickets.decrypt(&ticket), None);
        }
    }
}

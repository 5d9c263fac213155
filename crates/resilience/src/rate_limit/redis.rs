//! Quotas in a Redis server, for all processes that ask it.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bartizan_core::{BoxError, ConfigError};
use redis::{
    Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::OnceCell;

use super::{
    limit::Store,
    quota::{Decision, Quota},
};

/// A server in the same network answers within a millisecond. What takes longer than this is not there.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

/// Some thirty years, in microseconds. Lua's numbers are exact up to 2^53, which the present time and the longest quota leave room for.
const LONGEST_WAIT: u128 = 1_000_000_000_000_000;

/// [`Quota::decide`], line by line, in microseconds of the server's clock.
///
/// `%.0f`, since Lua would write the number with 14 digits. The key lives a millisecond longer than its quota takes to fill: expiry
/// counts from the millisecond that has begun.
const SCRIPT: &str = r"
local interval, burst, longest_wait = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local base = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local next = base + interval
local latest = now + interval * burst
local wait = math.max(next - latest, 0)
if wait > longest_wait then
    return {0, wait - longest_wait, base - now, 0}
end
local life = math.ceil((next - now) / 1000) + 1
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', string.format('%.0f', life))
return {1, wait, next - now, math.floor(math.max(latest - next, 0) / interval)}
";

/// Keeps quotas in a Redis server, where any number of processes share them.
///
/// Each call is one script, which the server runs in one step: two processes never take the same turn. The clock is the server's, so
/// those of its clients may differ. A key expires by itself when its quota is full, since a full quota looks like one never used.
/// Refused calls write nothing.
///
/// A key is stored as its text after the prefix. Each limit needs a prefix of its own: two that share one share their states.
///
/// Times are whole microseconds, rounded up. So a quota of more than a million calls per second is one of a million here.
///
/// # Connection
///
/// One, made by the first call and shared by all; a connection that broke is made again by a later call. A call waits up to
/// [`timeout`](Self::timeout) for its decision, the connection included. Nothing is sent twice: a call whose connection
/// breaks fails, because nobody knows whether it counted. The script is sent once, and by its hash from then on.
///
/// The connection belongs to the tokio runtime of the first call; keep a store to one runtime. `rediss://` needs one of the TLS
/// features of the `redis` crate, turned on by a package of yours that depends on it. Redis 5 is the oldest that will do.
///
/// # Cancellation
///
/// A call that is dropped after its script was sent has counted: the server does not hear that nobody listens any more. A turn that
/// is dropped while it waits is not given back.
///
/// # Errors
///
/// The future fails with the [`redis`] crate's error, or with tokio's `Elapsed` after the timeout. What becomes of the call then is up to
/// [`fail_closed`](super::RateLimitBuilder::fail_closed).
///
/// # A clock that is set back
///
/// The server's clock is wall time. If it is set back, quotas in use take as much longer to fill.
///
/// # Examples
///
/// ```
/// use bartizan_resilience::rate_limit::{Quota, RateLimitLayer, RedisStore};
/// use std::{net::IpAddr, time::Duration};
///
/// // Connects with the first call.
/// let store = RedisStore::try_new("redis://127.0.0.1/", "limit:api:")?;
/// let limit = RateLimitLayer::builder(Quota::try_new(600, Duration::from_secs(3600))?)
///     .build_stored(store, |client: &IpAddr| Some(*client));
/// # let _ = limit;
///
/// let error = RedisStore::try_new("http://127.0.0.1/", "limit:api:").unwrap_err();
/// assert_eq!(error.field(), "url");
/// # Ok::<(), bartizan_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Server>,
    prefix: Arc<str>,
    timeout: Duration,
}

struct Server {
    client: Client,
    script: Script,
    // Made by the first call: it has to be within a runtime, which a constructor need not be.
    connection: OnceCell<ConnectionManager>,
}

impl RedisStore {
    /// Quotas at `url`, such as `redis://:password@host:6379/0` or `redis+unix:///run/redis.sock`, in keys that begin with `prefix`.
    ///
    /// # Errors
    ///
    /// If `url` is none of a Redis server, or `prefix` is empty or has white space or control characters in it. The error does not
    /// show the URL, which may have a password in it.
    pub fn try_new(url: &str, prefix: &str) -> Result<Self, ConfigError> {
        if prefix.is_empty() || prefix.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConfigError::new(
                "prefix",
                prefix,
                "some text without white space and control characters",
            ));
        }
        let client = Client::open(url).map_err(|error| {
            ConfigError::new(
                "url",
                "…",
                "a URL like redis://host:6379/0 or redis+unix:///path",
            )
            .with_source(error)
        })?;
        Ok(Self {
            shared: Arc::new(Server {
                client,
                script: Script::new(SCRIPT),
                connection: OnceCell::new(),
            }),
            prefix: prefix.into(),
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Sets how long a call waits for its decision, the connection included. Default: 500 ms.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Server {
    async fn connect(&self) -> Result<ConnectionManager, RedisError> {
        // No retries: the next call is one, and this one should not wait for a server that is away.
        let config = ConnectionManagerConfig::new().set_number_of_retries(0);
        ConnectionManager::new_with_config(self.client.clone(), config).await
    }

    async fn take(
        &self,
        key: String,
        quota: Quota,
        longest_wait: Duration,
    ) -> Result<Decision, BoxError> {
        let connection = self.connection.get_or_try_init(|| self.connect());
        let mut connection = connection.await?.clone();
        let (is_admitted, wait, full_after, remaining): (bool, u64, u64, u32) = self
            .script
            .key(key)
            .arg(micros(quota.interval().as_nanos().div_ceil(1000)))
            .arg(quota.burst())
            .arg(micros(longest_wait.as_micros().min(LONGEST_WAIT)))
            .invoke_async(&mut connection)
            .await?;
        let [wait, full_after] = [wait, full_after].map(Duration::from_micros);
        Ok(if is_admitted {
            Decision::admit(wait, remaining, full_after)
        } else {
            Decision::refuse(wait, full_after)
        })
    }
}

fn micros(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl<K: fmt::Display> Store<K> for RedisStore {
    type Future = Pin<Box<dyn Future<Output = Result<Decision, BoxError>> + Send>>;

    fn take(&self, key: K, quota: &Quota, longest_wait: Duration) -> Self::Future {
        let key = format!("{}{key}", self.prefix);
        let (shared, quota, timeout) = (Arc::clone(&self.shared), *quota, self.timeout);
        Box::pin(async move {
            // Over all of it: many calls may be waiting for one connection.
            tokio::time::timeout(timeout, shared.take(key, quota, longest_wait)).await?
        })
    }
}

/// Without the URL, which may have a password in it.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

//! What is asked, and by how many at once.

use std::{
    fmt, fs, io,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Uri;
use reqwest::Url;

use crate::contenders::{BoxError, Client};

pub(crate) const LARGE: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// A `GET` that is answered by two bytes.
    Small,
    /// A `GET` that is answered by 1 MiB.
    Download,
    /// A `POST` of 1 MiB that is answered by two bytes.
    Upload,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Download, Self::Upload];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Download => "1 MiB down",
            Self::Upload => "1 MiB up",
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Load {
    type Err = BoxError;

    fn from_str(name: &str) -> Result<Self, BoxError> {
        let found = Self::ALL.into_iter().find(|load| load.name() == name);
        found.ok_or_else(|| format!("no load `{name}`").into())
    }
}

/// A load, for a server.
pub(crate) struct Asked {
    pub(crate) load: Load,
    pub(crate) uri: Uri,
    pub(crate) url: Url,
    pub(crate) upload: Bytes,
}

impl Asked {
    pub(crate) fn new(load: Load, server: &str) -> Result<Self, BoxError> {
        let path = if load == Load::Download { "large" } else { "" };
        let uri = format!("{server}{path}");
        Ok(Self {
            load,
            uri: uri.parse()?,
            url: uri.parse()?,
            upload: match load {
                Load::Upload => vec![7; LARGE].into(),
                Load::Small | Load::Download => Bytes::new(),
            },
        })
    }
}

/// What requests took: time, and what this thread ran meanwhile, as Linux accounts for it.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) time: Duration,
    pub(crate) processor: Duration,
}

fn processor() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ran = text.split_whitespace().next().unwrap_or_default();
    ran.parse()
        .map(Duration::from_nanos)
        .map_err(io::Error::other)
}

/// Sends so many requests by `in_flight` tasks that each wait for one before they send the next.
pub(crate) async fn run(
    client: &impl Client,
    asked: &Asked,
    in_flight: usize,
    requests: usize,
) -> Result<Took, BoxError> {
    let left = Arc::new(AtomicUsize::new(requests));
    let expected = if asked.load == Load::Download {
        LARGE
    } else {
        2
    };
    let ran = processor()?;
    let started = Instant::now();
    try_join_all((0..in_flight).map(|worker| {
        let left = Arc::clone(&left);
        async move {
            while take_one(&left) {
                let read = client.call(worker, asked).await?;
                assert_eq!(read, expected, "the whole body arrives");
            }
            Ok::<_, BoxError>(())
        }
    }))
    .await?;
    Ok(Took {
        time: started.elapsed(),
        processor: processor()?.saturating_sub(ran),
    })
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

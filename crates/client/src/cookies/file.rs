//! A jar in a file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{Cookie, Jar, SameSite};

/// Longer lines are nothing that was saved here: no header is as long, even with each byte of it escaped.
const MAX_LINE: u64 = 1024 * 1024;

impl Jar {
    /// Writes the cookies that outlive the session to a file, one JSON object in each line. How many there were.
    ///
    /// The file is replaced as a whole, so a reader finds the old one or the new one and never half of one. On Unix only its owner may
    /// read it, as whoever can read it can be its owner elsewhere. This blocks: in async code, call it in `spawn_blocking`.
    ///
    /// ```
    /// use bartizan_client::Jar;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("bartizan-{}-{:?}", std::process::id(), std::thread::current().id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// let path = directory.join("cookies.jsonl");
    /// let jar = Jar::new();
    /// jar.add(&"https://shop.example/".parse()?, "user=7; Max-Age=3600")?;
    /// jar.add(&"https://shop.example/".parse()?, "cart=8")?;
    /// assert_eq!(jar.save(&path)?, 1);
    ///
    /// let later = Jar::new();
    /// assert_eq!(later.load(&path)?, 1);
    /// assert_eq!(later.cookies()[0].name(), "user");
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the file cannot be written. The old one is there still.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<usize> {
        write(path.as_ref(), &self.find_persistent())
    }

    /// As [`save`](Self::save), with the cookies of the session.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. The old one is there still.
    pub fn save_with_session(&self, path: impl AsRef<Path>) -> io::Result<usize> {
        write(path.as_ref(), &self.cookies())
    }

    /// Adds the cookies of a file that [`save`](Self::save) wrote, in place of those of the same identity. How many there were that
    /// have not expired. A file that does not exist has none: it is the first run. This blocks.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a line of it is no cookie. Those before it are in the jar then.
    pub fn load(&self, path: impl AsRef<Path>) -> io::Result<usize> {
        let path = path.as_ref();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let now = self.now();
        let mut file = BufReader::new(file);
        let mut loaded = 0;
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let length = io::Read::take(&mut file, MAX_LINE).read_line(&mut line)?;
            if length == 0 {
                break;
            }
            if line.trim().is_empty() {
                continue;
            }
            let Some(cookie) = from_json(&line, now) else {
                let what = format!("line {number} of `{}` is no cookie", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            };
            loaded += usize::from(!cookie.is_expired(now));
            self.state().put(cookie, now);
        }
        Ok(loaded)
    }

    fn find_persistent(&self) -> Vec<Cookie> {
        let mut cookies = self.cookies();
        cookies.retain(|cookie| cookie.expires.is_some());
        cookies
    }
}

fn write(path: &Path, cookies: &[Cookie]) -> io::Result<usize> {
    let temporary = beside(path);
    let written = write_new(&temporary, cookies).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // There may be none, and the first error is the one that says why.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(cookies.len())
}

/// A name in the same directory, as a file cannot be renamed across file systems, that no other process has.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", fastrand::u64(..)));
    path.with_file_name(name)
}

fn write_new(path: &Path, cookies: &[Cookie]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path)?);
    for cookie in cookies {
        writeln!(file, "{}", to_json(cookie))?;
    }
    // On the disk before the name is, or a crash leaves an empty file.
    file.into_inner()?.sync_all()
}

fn to_json(cookie: &Cookie) -> Value {
    json!({
        "name": cookie.name,
        "value": cookie.value,
        "domain": cookie.domain,
        "host_only": cookie.host_only,
        "path": cookie.path,
        "secure": cookie.secure,
        "http_only": cookie.http_only,
        "same_site": cookie.same_site.map(SameSite::name),
        "expires": cookie.expires.map(seconds),
        "created": seconds(cookie.created),
        "last_access": seconds(cookie.last_access),
    })
}

fn from_json(line: &str, now: SystemTime) -> Option<Cookie> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |field: &str| object.get(field)?.as_str().map(str::to_owned);
    let flag = |field: &str| object.get(field)?.as_bool();
    let time = |field: &str| {
        let seconds = object.get(field)?.as_u64()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    let cookie = Cookie {
        name: text("name")?,
        value: text("value")?,
        domain: text("domain")?,
        host_only: flag("host_only")?,
        path: text("path")?,
        secure: flag("secure")?,
        http_only: flag("http_only")?,
        same_site: match object.get("same_site")? {
            Value::Null => None,
            name => Some(SameSite::named(name.as_str()?)?),
        },
        expires: match object.get("expires")? {
            Value::Null => None,
            _ => Some(time("expires")?),
        },
        created: time("created").unwrap_or(now),
        last_access: time("last_access").unwrap_or(now),
    };
    // Somebody may have edited it: nothing that a header could not have said.
    let is_header = |text: &str| !text.contains(';') && !text.chars().any(|c| c.is_ascii_control());
    let is_whole = !cookie.name.is_empty()
        && !cookie.name.contains('=')
        && is_header(&cookie.name)
        && is_header(&cookie.value)
        && !cookie.domain.is_empty()
        && cookie.path.starts_with('/');
    is_whole.then_some(cookie)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

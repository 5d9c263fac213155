//! Our crates beside their peers. The programs are in `benches/` and `src/bin/`, the figures in `bench/README.md`.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A server of HTTP in a process of its own, which ends with this.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it speaks HTTP/1.1.
    pub h1: SocketAddr,
    /// Where it speaks HTTP/2 with prior knowledge.
    pub h2: SocketAddr,
    files: Option<PathBuf>,
}

impl Server {
    /// Starts `contender` with the program `serve`; `nginx` as `nginx`.
    pub fn start(serve: &Path, contender: &str) -> io::Result<Self> {
        if contender == "nginx" {
            return nginx();
        }
        Self::run(Command::new(serve).arg(contender))
    }

    /// Starts the program `serve` as this says.
    pub fn run(serve: &mut Command) -> io::Result<Self> {
        let mut child = serve.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        let addr = read.and_then(|_| line.trim().parse().map_err(io::Error::other));
        let h1 = match addr {
            Ok(addr) => addr,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            child,
            h1,
            h2: h1,
            files: None,
        })
    }

    /// Asks it to end, and waits until it has: what watches it gets to say what it saw.
    pub fn stop(mut self) -> io::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").arg(id).status()?;
        self.child.wait().map(drop)
    }

    /// What its threads have spent of the CPU, in user space and in the kernel.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let spent = text.split_whitespace().next().unwrap_or_default();
            sum += spent.parse::<u64>().map_err(io::Error::other)?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Its [`memory`].
    pub fn memory(&self) -> io::Result<u64> {
        memory(&self.child.id().to_string())
    }
}

/// The memory of a process, by its number or `self`, that is neither shared with other programs nor given back, in bytes.
pub fn memory(process: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib << 10)
        .ok_or_else(|| io::Error::other("no RssAnon in its status"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which a caller has noticed by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(files) = &self.files {
            let _ = fs::remove_dir_all(files);
        }
    }
}

/// One process, so that it ends with its parent and is measured as the others are. Before 1.25, a port of nginx's speaks either
/// HTTP/1.1 or HTTP/2.
fn nginx() -> io::Result<Server> {
    let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
    let (h1, h2) = (free()?, free()?);
    let files = std::env::temp_dir().join(format!(
        "bartizan-nginx-{}-{}",
        std::process::id(),
        h1.port()
    ));
    fs::create_dir_all(&files)?;
    let path = files.display();
    let conf = format!(
        "daemon off; master_process off; worker_rlimit_nofile 20000; pid {path}/pid; error_log {path}/error.log;
        events {{ worker_connections 20000; }}
        http {{
            access_log off; default_type text/plain;
            client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;
            uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;
            keepalive_requests 1000000000; keepalive_timeout 300s;
            server {{
                listen {h1} backlog=4096; listen {h2} http2 backlog=4096;
                location / {{ return 200 hello; }}
            }}
        }}"
    );
    fs::write(files.join("nginx.conf"), conf)?;
    let child = Command::new("nginx")
        .arg("-e")
        .arg(files.join("error.log"))
        .arg("-c")
        .arg(files.join("nginx.conf"))
        .spawn()?;
    let server = Server {
        child,
        h1,
        h2,
        files: Some(files),
    };
    let patience = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(h1).is_err() {
        if Instant::now() > patience {
            return Err(io::Error::other("nginx does not listen"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

/// The value in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

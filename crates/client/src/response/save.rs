//! A response body as a file.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    pin::pin,
};

use bartizan_core::BoxError;
use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use tokio::{fs::File, io::AsyncWriteExt};

use super::{BodyLimit, DataStream, read::too_large};
use crate::{Error, error::Kind};

/// Writes all of `data` to `path`, or nothing.
pub(super) async fn save<B>(
    data: DataStream<B>,
    limit: Option<BodyLimit>,
    total: Option<u64>,
    path: &Path,
    mut progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<u64, Error>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut data = pin!(data);
    let written = async {
        let limit = limit.map_or(u64::MAX, |BodyLimit(limit)| limit as u64);
        let exceeded = || too_large(usize::try_from(limit).unwrap_or(usize::MAX));
        if total.is_some_and(|total| total > limit) {
            return Err(exceeded());
        }
        let mut partial = Partial::create(path)
            .await
            .map_err(|it| unwritten(path, it))?;
        let mut written = 0_u64;
        while let Some(piece) = std::future::poll_fn(|cx| data.as_mut().poll_next(cx)).await {
            let piece: Bytes = piece?;
            written = written.saturating_add(piece.len() as u64);
            if written > limit {
                return Err(exceeded());
            }
            partial
                .write(&piece)
                .await
                .map_err(|it| unwritten(path, it))?;
            progress(written, total);
        }
        partial
            .finish(path)
            .await
            .map_err(|it| unwritten(path, it))?;
        Ok(written)
    };
    written.await.map_err(|error| data.as_mut().explain(error))
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    let path = path.display();
    Error::new(Kind::Save, format!("the file `{path}` cannot be written")).with_source(error)
}

/// A file that is removed, unless it is finished.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Partial {
    async fn create(target: &Path) -> io::Result<Self> {
        let Some(name) = target.file_name() else {
            let problem = "the path does not end with the name of a file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        };
        // Beside the target, since a file can only be renamed within its file system.
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(format!(".{:016x}.part", fastrand::u64(..)));
        let path = target.with_file_name(partial);
        // New, so that nobody else's file is written to, nor where a link leads.
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .await?;
        Ok(Self { file, path })
    }

    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data).await
    }

    /// Without `sync_all`, a crash soon after the rename could leave an empty file in place of the old one.
    async fn finish(mut self, target: &Path) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        tokio::fs::rename(&self.path, target).await?;
        // There is nothing left to remove.
        mem::take(&mut self.path);
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // It is short, and there is no other way: a task to do it would need a runtime that still runs. What cannot be removed
            // stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

//! A body from a file.

use std::{
    future::Future,
    io,
    path::Path,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{Error, error::Kind};

/// What one read asks for: enough that the thread which does it costs little, and little enough to keep.
const CHUNK: usize = 64 * 1024;

/// As many bytes of a file as it had when it was opened.
pub(crate) struct FileBody {
    file: File,
    left: u64,
    buffer: BytesMut,
}

impl FileBody {
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let opened = async {
            let file = File::open(path).await?;
            let metadata = file.metadata().await?;
            // Directories open, and fail at the first read.
            if !metadata.is_file() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a regular file",
                ));
            }
            Ok(Self {
                file,
                left: metadata.len(),
                buffer: BytesMut::new(),
            })
        };
        opened.await.map_err(|error: io::Error| {
            let path = path.display();
            Error::new(Kind::Builder, format!("the file `{path}` cannot be read"))
                .with_source(error)
        })
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = usize::try_from(this.left).map_or(CHUNK, |left| left.min(CHUNK));
        this.buffer.reserve(chunk);
        {
            // A read that is pending is the file's; nothing is lost with this future.
            let mut limited = (&mut this.file).take(chunk as u64);
            let read = pin!(limited.read_buf(&mut this.buffer));
            if let Err(error) = ready!(read.poll(cx)) {
                this.left = 0;
                return Poll::Ready(Some(Err(error.into())));
            }
        }
        let data = this.buffer.split().freeze();
        if data.is_empty() {
            this.left = 0;
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter");
            return Poll::Ready(Some(Err(error.into())));
        }
        this.left -= data.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

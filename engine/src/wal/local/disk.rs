//! What the log asks of a file system. Tests give it one that fails and forgets.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::durable::{create_folder_durably, sync_folder};

/// One folder of files. Its display names the folder.
pub(super) trait Disk: fmt::Debug + fmt::Display + Send + Sync {
    /// Names and lengths of all files, in any order.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Reads a file from an offset on; tells its whole length too.
    fn open(&self, name: &str, offset: u64) -> io::Result<(Box<dyn Read + Send>, u64)>;

    /// An empty file to write; replaces one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;

    /// Shortens a file, and writes what it has from `from` on once more, durably: what the system
    /// takes for written may be lost when a sync has failed before.
    fn renew(&self, name: &str, from: u64, length: u64) -> io::Result<()>;

    /// Renames a file, replacing another in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names there are.
    fn sync(&self) -> io::Result<()>;
}

/// A file that grows at its end.
pub(super) trait Output: fmt::Debug + Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;

    /// Takes back what stands after `length`, durably; the next write goes there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The error for an operation of the file system that failed.
pub(super) fn failed(action: &str, place: impl fmt::Display, error: io::Error) -> Error {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let message = format!("cannot {action} {place}: {error}");
    let failed = Error::new(ErrorKind::Storage, message).caused_by(error);
    match full {
        true => failed.hint("Make room on the disk; nothing that was acknowledged is lost."),
        false => failed,
    }
}

/// A folder of the operating system's file system.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates the folder where it is missing, and locks it.
    pub(super) fn lock(path: &Path) -> Result<(Self, Lock)> {
        create_folder_durably(path).map_err(|error| failed("create", path.display(), error))?;
        let name = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&name)
            .map_err(|error| failed("open", name.display(), error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok((Self { path: path.to_owned() }, Lock(file))),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(failed("lock", name.display(), error));
                }
            }
            // Who only looks whether it is locked shares the lock, and for a moment.
            if is_owned(&file).map_err(|error| failed("lock", name.display(), error))? {
                let message =
                    format!("another process uses the write-ahead log in {}", path.display());
                return Err(Error::new(ErrorKind::Storage, message)
                    .hint("Stop the other server on this data folder, or use its interfaces."));
            }
            std::thread::yield_now();
        }
    }

    /// The folder, to be read only; whoever has it locked goes on to change it.
    pub(super) fn unlocked(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// True while a process has it locked. Creates nothing.
    pub(super) fn is_locked(&self) -> Result<bool> {
        let name = self.path.join("lock");
        let locked = match File::open(&name) {
            Ok(file) => is_owned(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        locked.map_err(|error| failed("look at", name.display(), error))
    }
}

/// True when a process has the file locked for itself.
fn is_owned(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Keeps other processes out of a folder, for no longer than this one lives.
#[derive(Debug)]
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    /// Closing the file does not suffice: a process that is being started has it open too.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            // The log's own names are all ASCII.
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str, offset: u64) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let mut file = File::open(self.path.join(name))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        Ok((Box::new(file), length))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn renew(&self, name: &str, from: u64, length: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        file.set_len(length)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(from))?;
        file.write_all(&bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }
}

impl Output for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    /// `fdatasync`: it makes the length durable too, and spares the times.
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length))?;
        self.sync_all()
    }
}

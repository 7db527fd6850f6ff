//! A folder in memory that fails on demand, and forgets what was not synced when its power is cut.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::super::disk::{Disk, Output};
use crate::wal::testing::Random;

const SECTOR_BYTES: usize = 512;

/// Files by name, as they lie on the disk.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
pub(super) struct Simulated {
    state: Arc<Mutex<State>>,
    released: Arc<Condvar>,
}

#[derive(Debug)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Renames and the like since the folder was synced; each is all or nothing.
    changes: Vec<Vec<(String, Option<usize>)>>,
    /// Bytes that can be written before the disk is full.
    room: usize,
    syncs_fail: bool,
    /// Operations that succeed before process or machine die.
    power: u64,
    /// Syncs of files wait.
    held_back: bool,
    syncs_begun: u64,
    random: Random,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// After a failed sync the rest is never written, whatever later syncs say.
    lost: bool,
}

impl Simulated {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            room: usize::MAX,
            syncs_fail: false,
            power: u64::MAX,
            held_back: false,
            syncs_begun: 0,
            random: Random::new(seed),
        };
        Self { state: Arc::new(Mutex::new(state)), released: Arc::default() }
    }

    pub(super) fn with(files: &Files) -> Self {
        let disk = Self::new(1);
        let mut state = disk.state.lock();
        for (name, bytes) in files {
            let index = state.files.len();
            state.names.insert(name.clone(), index);
            let contents = Contents { bytes: bytes.clone(), synced: bytes.clone(), lost: false };
            state.files.push(contents);
        }
        state.durable_names = state.names.clone();
        drop(state);
        disk
    }

    pub(super) fn files(&self) -> Files {
        let state = self.state.lock();
        let contents =
            |(name, index): (&String, &usize)| (name.clone(), state.files[*index].bytes.clone());
        state.names.iter().map(contents).collect()
    }

    pub(super) fn set_room(&self, bytes: usize) {
        self.state.lock().room = bytes;
    }

    pub(super) fn let_syncs_fail(&self) {
        self.state.lock().syncs_fail = true;
    }

    /// Whether something is wrong with it.
    pub(super) fn fails(&self) -> bool {
        let state = self.state.lock();
        state.power == 0 || state.syncs_fail || state.room != usize::MAX
    }

    /// Lets syncs of files wait, or go on.
    pub(super) fn hold_back(&self, held_back: bool) {
        self.state.lock().held_back = held_back;
        self.released.notify_all();
    }

    /// Waits until another sync of a file began, after `before` of them.
    pub(super) fn wait_for_sync(&self, before: u64) {
        let mut state = self.state.lock();
        self.released.wait_while(&mut state, |state| state.syncs_begun == before);
    }

    pub(super) fn syncs_begun(&self) -> u64 {
        self.state.lock().syncs_begun
    }

    /// Lets everything fail after some operations more, since the process or machine has died.
    pub(super) fn fail_after(&self, operations: u64) {
        self.state.lock().power = operations;
    }

    pub(super) fn is_off(&self) -> bool {
        self.state.lock().power == 0
    }

    /// Starts the machine again, with what happens to be on the disk: what was synced, and any part
    /// of what was not, in sectors.
    pub(super) fn restart(&self) {
        let mut state = self.state.lock();
        let State { files, names, durable_names, changes, random, .. } = &mut *state;
        for file in files.iter_mut() {
            file.crash(random);
        }
        *names = durable_names.clone();
        for change in changes.drain(..).filter(|_| random.percent(50)) {
            apply(names, change);
        }
        *durable_names = names.clone();
        drop(state);
        self.revive();
    }

    /// Goes on after the death of the process: the system has everything that was written.
    pub(super) fn revive(&self) {
        let mut state = self.state.lock();
        state.power = u64::MAX;
        state.syncs_fail = false;
        state.room = usize::MAX;
    }
}

impl Contents {
    fn crash(&mut self, random: &mut Random) {
        let (bytes, synced) = (&self.bytes, &self.synced);
        let grown = bytes.len().saturating_sub(synced.len());
        let mut left = synced.clone();
        left.resize(synced.len() + random.below(grown + 1), 0);
        let all_or_none = random.below(3);
        for start in (0..left.len()).step_by(SECTOR_BYTES) {
            let end = (start + SECTOR_BYTES).min(left.len());
            if all_or_none == 0 || (all_or_none == 1 && random.percent(50)) {
                left[start..end].copy_from_slice(&bytes[start..end]);
            }
        }
        *self = Self { bytes: left.clone(), synced: left, lost: false };
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: Vec<(String, Option<usize>)>) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name, file),
            None => names.remove(&name),
        };
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        self.power = self.power.saturating_sub(u64::from(self.power != u64::MAX));
        match self.power {
            0 => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Vec<(String, Option<usize>)>) {
        apply(&mut self.names, change.clone());
        self.changes.push(change);
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        let fails = self.syncs_fail;
        let file = &mut self.files[file];
        file.lost |= fails && file.bytes.len() > file.synced.len();
        if !file.lost && !fails {
            file.synced = file.bytes.clone();
        }
        match fails {
            true => Err(io::Error::other("a sector cannot be written")),
            false => Ok(()),
        }
    }

    fn cut(&mut self, file: usize, length: u64) -> io::Result<()> {
        let cut = &mut self.files[file];
        cut.bytes.truncate(length as usize);
        // What is lost is what the system believes to have written.
        cut.lost &= cut.bytes.len() > cut.synced.len();
        self.sync(file)
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated")
    }
}

impl Disk for Simulated {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.state.lock();
        state.operate()?;
        let length = |file: &usize| state.files[*file].bytes.len() as u64;
        Ok(state.names.iter().map(|(name, file)| (name.clone(), length(file))).collect())
    }

    fn open(&self, name: &str, offset: u64) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let mut state = self.state.lock();
        state.operate()?;
        let bytes = state.files[state.find(name)?].bytes.clone();
        let length = bytes.len() as u64;
        let mut cursor = Cursor::new(bytes);
        cursor.set_position(offset);
        Ok((Box::new(cursor), length))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut state = self.state.lock();
        state.operate()?;
        let index = state.files.len();
        state.files.push(Contents::default());
        state.change(vec![(name.to_owned(), Some(index))]);
        Ok(Box::new(Opened { disk: self.clone(), file: index }))
    }

    fn renew(&self, name: &str, from: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        let file = state.find(name)?;
        let renewed = &mut state.files[file];
        renewed.lost &= from > renewed.synced.len() as u64;
        state.cut(file, length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        let file = state.find(from)?;
        state.change(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        state.find(name)?;
        state.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        if state.syncs_fail {
            return Err(io::Error::other("a sector cannot be written"));
        }
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct Opened {
    disk: Simulated,
    file: usize,
}

impl Output for Opened {
    /// Without power, and on a full disk, a part is written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let was_off = state.power == 0;
        let power = state.operate();
        let written = match (&power, was_off) {
            (Err(_), true) => 0,
            (Err(_), false) => state.random.below(bytes.len() + 1),
            (Ok(()), _) => bytes.len(),
        };
        let written = written.min(state.room);
        state.room -= if state.room == usize::MAX { 0 } else { written };
        state.files[self.file].bytes.extend_from_slice(&bytes[..written]);
        power?;
        match written == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.syncs_begun += 1;
        self.disk.released.notify_all();
        self.disk.released.wait_while(&mut state, |state| state.held_back);
        state.operate()?;
        state.sync(self.file)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        state.cut(self.file, length)
    }
}

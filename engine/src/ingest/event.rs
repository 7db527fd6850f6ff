//! One event with all its columns, and batches of them in the layout of the store.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Int64Array, Int64Builder, RecordBatch, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use bytes::Bytes;
use uuid::Uuid;

use crate::error::Result;
use crate::storage::{GROUP_COUNT, ProjectId, distinct_id_hash, events_schema};

/// An event as it was read. Text borrows from the input where it can.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    /// None: derived from all the rest.
    pub(super) uuid: Option<Uuid>,
    pub(super) event: Cow<'a, str>,
    /// A JSON object, byte for byte as it was sent.
    pub(super) properties: Cow<'a, str>,
    pub(super) timestamp: i64,
    pub(super) distinct_id: Cow<'a, str>,
    pub(super) elements_chain: Cow<'a, str>,
    /// None: the time of the import.
    pub(super) created_at: Option<i64>,
    pub(super) session_id: Cow<'a, str>,
    pub(super) window_id: Cow<'a, str>,
    pub(super) person_mode: Cow<'a, str>,
    pub(super) groups: [Cow<'a, str>; GROUP_COUNT],
    /// None: derived from project and distinct id.
    pub(super) person_id: Option<Uuid>,
    pub(super) person_properties: Option<Cow<'a, str>>,
    pub(super) person_created_at: Option<i64>,
}

/// The namespace of event ids that are derived from content.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x9d5c_6f1e_2f0b_4d57_8a3e_61c4_b7e0_52a1);
/// The namespace of person ids that are derived from a distinct id.
const PERSON_NAMESPACE: Uuid = Uuid::from_u128(0x3b1a_84c0_77de_4f35_9b06_e8d2_1c5f_a940);

impl Event<'_> {
    /// An id from everything the sender said, so that the same content gets the same id again.
    fn content_uuid(&self, project: ProjectId, scratch: &mut Vec<u8>) -> Uuid {
        scratch.clear();
        for number in [project.0, self.timestamp] {
            scratch.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.created_at, self.person_created_at] {
            scratch.push(u8::from(number.is_some()));
            scratch.extend_from_slice(&number.unwrap_or_default().to_le_bytes());
        }
        scratch.extend_from_slice(self.person_id.unwrap_or_default().as_bytes());
        let texts = [
            &self.event,
            &self.distinct_id,
            &self.properties,
            &self.elements_chain,
            &self.session_id,
            &self.window_id,
            &self.person_mode,
        ];
        let person = self.person_properties.as_deref().unwrap_or_default();
        let texts = texts.into_iter().chain(&self.groups).map(AsRef::as_ref).chain([person]);
        for text in texts {
            scratch.extend_from_slice(&(text.len() as u64).to_le_bytes());
            scratch.extend_from_slice(text.as_bytes());
        }
        Uuid::new_v5(&EVENT_NAMESPACE, scratch)
    }
}

/// The id of the n-th event with the same content in one file, counted from 0. Logs do hold
/// equal lines that mean two events.
pub(super) fn repeated_uuid(content: Uuid, n: u32) -> Uuid {
    match n {
        0 => content,
        _ => Uuid::new_v5(&content, &n.to_le_bytes()),
    }
}

/// The person of a distinct id that nobody has identified.
fn person_uuid(project: ProjectId, distinct_id: &str, scratch: &mut Vec<u8>) -> Uuid {
    scratch.clear();
    scratch.extend_from_slice(project.0.to_string().as_bytes());
    scratch.push(b':');
    scratch.extend_from_slice(distinct_id.as_bytes());
    Uuid::new_v5(&PERSON_NAMESPACE, scratch)
}

/// Events in the columns of the store, still in the order of the input.
#[derive(Debug)]
pub(super) struct EventBatch {
    pub(super) rows: RecordBatch,
    /// Which rows have an id derived from their content, ascending.
    pub(super) derived: Vec<u32>,
}

/// Builds an [`EventBatch`].
#[derive(Debug)]
pub(super) struct EventBuilder {
    project: ProjectId,
    imported_at: i64,
    scratch: Vec<u8>,
    derived: Vec<u32>,
    rows: u32,
    uuid: FixedSizeBinaryBuilder,
    event: StringViewBuilder,
    properties: StringViewBuilder,
    /// What documents are slices of, and its number among the blocks of `properties`.
    shared: Option<(Bytes, u32)>,
    timestamp: TimestampMicrosecondBuilder,
    distinct_id: StringViewBuilder,
    elements_chain: StringViewBuilder,
    created_at: TimestampMicrosecondBuilder,
    session_id: StringViewBuilder,
    window_id: StringViewBuilder,
    person_mode: StringViewBuilder,
    groups: [StringViewBuilder; GROUP_COUNT],
    person_id: FixedSizeBinaryBuilder,
    person_properties: StringViewBuilder,
    person_created_at: TimestampMicrosecondBuilder,
    distinct_id_hash: Int64Builder,
}

impl EventBuilder {
    /// `imported_at` in microseconds since the epoch is the `created_at` of events without one.
    pub(super) fn new(project: ProjectId, imported_at: i64) -> Self {
        // Ids repeat within a chunk; long texts do not.
        let ids = || StringViewBuilder::new().with_deduplicate_strings();
        let time = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
        Self {
            project,
            imported_at,
            scratch: Vec::new(),
            derived: Vec::new(),
            rows: 0,
            uuid: FixedSizeBinaryBuilder::new(16),
            event: ids(),
            properties: StringViewBuilder::new().with_fixed_block_size(1 << 18),
            shared: None,
            timestamp: time(),
            distinct_id: ids(),
            elements_chain: StringViewBuilder::new(),
            created_at: time(),
            session_id: ids(),
            window_id: ids(),
            person_mode: StringViewBuilder::new(),
            groups: std::array::from_fn(|_| ids()),
            person_id: FixedSizeBinaryBuilder::new(16),
            person_properties: StringViewBuilder::new(),
            person_created_at: time(),
            distinct_id_hash: Int64Builder::new(),
        }
    }

    /// Documents that are slices of these bytes are not copied, but keep them alive.
    pub(super) fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < u32::MAX as usize {
            let block = self.properties.append_block(bytes.clone().into());
            self.shared = Some((bytes.clone(), block));
        }
    }

    /// The block, place and length of a text in the shared bytes.
    fn place_in_shared(&self, text: &str) -> Option<(u32, u32, u32)> {
        let (bytes, block) = self.shared.as_ref()?;
        let start = text.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
        let is_within = start + text.len() <= bytes.len();
        let (start, length) = (u32::try_from(start).ok()?, u32::try_from(text.len()).ok()?);
        is_within.then_some((*block, start, length))
    }

    pub(super) fn append(&mut self, event: &Event<'_>) -> Result<()> {
        let uuid = match event.uuid {
            Some(uuid) => uuid,
            None => {
                self.derived.push(self.rows);
                event.content_uuid(self.project, &mut self.scratch)
            }
        };
        let person_id = match event.person_id {
            Some(id) => id,
            None => person_uuid(self.project, &event.distinct_id, &mut self.scratch),
        };
        self.rows += 1;
        self.uuid.append_value(uuid.as_bytes())?;
        self.event.append_value(&event.event);
        match self.place_in_shared(&event.properties) {
            Some((block, start, length)) => {
                self.properties.try_append_view(block, start, length)?
            }
            None => self.properties.append_value(&event.properties),
        }
        self.timestamp.append_value(event.timestamp);
        self.distinct_id.append_value(&event.distinct_id);
        self.elements_chain.append_value(&event.elements_chain);
        self.created_at.append_value(event.created_at.unwrap_or(self.imported_at));
        self.session_id.append_value(&event.session_id);
        self.window_id.append_value(&event.window_id);
        self.person_mode.append_value(&event.person_mode);
        for (builder, key) in self.groups.iter_mut().zip(&event.groups) {
            builder.append_value(key);
        }
        self.person_id.append_value(person_id.as_bytes())?;
        self.person_properties.append_option(event.person_properties.as_deref());
        self.person_created_at.append_option(event.person_created_at);
        self.distinct_id_hash.append_value(distinct_id_hash(&event.distinct_id));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<EventBatch> {
        let team_id = Int64Array::from_value(self.project.0, self.rows as usize);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.uuid.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.properties.finish()),
            Arc::new(self.timestamp.finish()),
            Arc::new(team_id),
            Arc::new(self.distinct_id.finish()),
            Arc::new(self.elements_chain.finish()),
            Arc::new(self.created_at.finish()),
            Arc::new(self.session_id.finish()),
            Arc::new(self.window_id.finish()),
            Arc::new(self.person_mode.finish()),
        ];
        columns.extend(self.groups.iter_mut().map(|group| Arc::new(group.finish()) as ArrayRef));
        columns.extend([
            Arc::new(self.person_id.finish()) as ArrayRef,
            Arc::new(self.person_properties.finish()),
            Arc::new(self.person_created_at.finish()),
            Arc::new(self.distinct_id_hash.finish()),
        ]);
        let rows = RecordBatch::try_new(Arc::clone(events_schema()), columns)?;
        Ok(EventBatch { rows, derived: self.derived })
    }
}

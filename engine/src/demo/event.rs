//! An event of the demo as a JSON line.

use std::fmt::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use uuid::Uuid;

use crate::demo::person::Person;

/// What the events of one session share.
#[derive(Debug)]
pub(super) struct SessionInfo {
    pub(super) id: Uuid,
    pub(super) window_id: Uuid,
    /// Empty outside of the first page of a visit.
    pub(super) is_entry_from_channel: bool,
}

/// One event.
#[derive(Debug)]
pub(super) struct DemoEvent {
    pub(super) uuid: Uuid,
    pub(super) name: &'static str,
    /// Microseconds since the epoch.
    pub(super) timestamp: i64,
    pub(super) path: String,
    pub(super) person: Arc<Person>,
    pub(super) session: Arc<SessionInfo>,
    /// Signed in: events come from the user id and the company.
    pub(super) signed_in: bool,
    pub(super) plan: &'static str,
    /// The event's own properties, as pairs of a JSON object.
    pub(super) own: String,
}

const HOST: &str = "loomboard.example";

impl DemoEvent {
    /// Appends the event as one line.
    pub(super) fn write_line(&self, wide: bool, out: &mut Vec<u8>) {
        let mut line = String::with_capacity(2048);
        // Writing to a string does not fail.
        let _ = self.write_event(wide, &mut line);
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }

    fn write_event(&self, wide: bool, out: &mut String) -> fmt::Result {
        let person = &self.person;
        let distinct_id = if self.signed_in { &person.user_id } else { &person.anonymous_id };
        let time = DateTime::from_timestamp_micros(self.timestamp).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(
            out,
            r#"{{"uuid":"{}","event":"{}","distinct_id":"{distinct_id}","person_id":"{}","timestamp":"{time}","#,
            self.uuid, self.name, person.id,
        )?;
        if self.name == "$autocapture" {
            write!(out, r#""elements_chain":{},"#, quoted(ELEMENTS_CHAIN))?;
        }
        out.push_str(r#""properties":{"#);
        if !self.own.is_empty() {
            write!(out, "{},", self.own)?;
        }
        self.write_place(out)?;
        self.write_device(out)?;
        if self.signed_in {
            self.write_account(out)?;
        }
        if wide {
            self.write_rare(out)?;
        }
        let SessionInfo { id, window_id, .. } = &*self.session;
        write!(out, r#""$session_id":"{id}","$window_id":"{window_id}","#)?;
        out.push_str(r#""$lib":"web","$lib_version":"1.245.1"}}"#);
        Ok(())
    }

    fn write_place(&self, out: &mut String) -> fmt::Result {
        let Person { channel, .. } = &*self.person;
        let path = &self.path;
        let query = match channel.utm {
            Some((source, medium, campaign)) if self.session.is_entry_from_channel => {
                write!(
                    out,
                    r#""utm_source":"{source}","utm_medium":"{medium}","utm_campaign":"{campaign}","#
                )?;
                format!("?utm_source={source}&utm_medium={medium}&utm_campaign={campaign}")
            }
            _ => String::new(),
        };
        write!(
            out,
            r#""$current_url":"https://{HOST}{path}{query}","$host":"{HOST}","$pathname":"{path}","#
        )?;
        let (referrer, domain) = match self.session.is_entry_from_channel {
            true => (channel.referrer, channel.referring_domain),
            false => ("$direct", "$direct"),
        };
        write!(out, r#""$referrer":"{referrer}","$referring_domain":"{domain}","#)
    }

    fn write_device(&self, out: &mut String) -> fmt::Result {
        let Person { device, browser, browser_version, country, city, .. } = &*self.person;
        let (width, height) = device.screen;
        write!(
            out,
            r#""$browser":"{browser}","$browser_version":{browser_version},"$os":"{}","$os_version":"{}","$device_type":"{}","#,
            device.os, device.os_version, device.kind,
        )?;
        write!(out, r#""$screen_width":{width},"$screen_height":{height},"#)?;
        write!(
            out,
            r#""$browser_language":"{}","$timezone":"{}","$geoip_country_code":"{}","$geoip_country_name":"{}","$geoip_city_name":"{city}","#,
            country.language, country.time_zone, country.code, country.name,
        )
    }

    fn write_account(&self, out: &mut String) -> fmt::Result {
        let Person { company, guided, .. } = &*self.person;
        let variant = if *guided { "test" } else { "control" };
        write!(
            out,
            r#""plan":"{}","$group_0":"{}","$groups":{{"company":"{}"}},"company":{{"size":{},"industry":"{}"}},"#,
            self.plan, company.key, company.key, company.size, company.industry,
        )?;
        write!(
            out,
            r#""$feature/guided-onboarding":"{variant}","$active_feature_flags":["guided-onboarding","dark-mode"],"#
        )
    }

    /// What fills real events: client hints, first-touch data, timings.
    fn write_rare(&self, out: &mut String) -> fmt::Result {
        let Person { device, channel, browser, browser_version, anonymous_id, .. } = &*self.person;
        let (width, height) = device.screen;
        write!(
            out,
            r#""$raw_user_agent":"Mozilla/5.0 ({} {}) AppleWebKit/537.36 (KHTML, like Gecko) {browser}/{browser_version}.0.0.0 Safari/537.36","$device_id":"{anonymous_id}","#,
            device.os, device.os_version,
        )?;
        write!(
            out,
            r#""$viewport_width":{},"$viewport_height":{},"$pageview_id":"{}","#,
            width - 17,
            height - 121,
            self.uuid,
        )?;
        write!(
            out,
            r#""$set_once":{{"$initial_referrer":"{}","$initial_referring_domain":"{}","$initial_host":"{HOST}","$initial_os":"{}","$initial_browser":"{browser}"}},"#,
            channel.referrer, channel.referring_domain, device.os,
        )?;
        let noise = self.uuid.as_u128();
        let part = |shift: u32, below: u128| (noise >> shift) % below;
        write!(
            out,
            r#""$performance":{{"ttfb":{},"fcp":{},"lcp":{},"cls":0.{:03},"resources":{}}},"$lib_custom_api_host":"https://e.{HOST}","$is_identified":{},"#,
            part(8, 400),
            part(16, 1200) + 200,
            part(24, 2400) + 400,
            part(32, 300),
            part(40, 90) + 12,
            self.signed_in,
        )
    }
}

const ELEMENTS_CHAIN: &str = r#"button.btn.btn-primary:attr__class="btn btn-primary"nth-child="2"nth-of-type="1"text="Add task";div.toolbar:nth-child="1"nth-of-type="1";main:nth-child="3"nth-of-type="1""#;

fn quoted(text: &str) -> String {
    // Text always serialises.
    serde_json::to_string(text).unwrap_or_default()
}

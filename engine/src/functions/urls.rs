//! URLs. As in ClickHouse the functions take what they find and never fail: they are made for
//! logs, not for validation.

use arrow::array::{ArrayRef, ListBuilder, StringViewBuilder};

use super::arguments::Arguments;
use super::function::{Arg, Function, Returns};
use super::strings::text_of_text;
use crate::error::Result;
use crate::types::Type;

/// A part of a URL.
macro_rules! part {
    ($name:literal, $part:expr, $doc:literal, $($example:tt),+) => {
        Function::scalar($name, &[Arg::Text], Returns::Text, |args| {
            let part: for<'t> fn(&'t str) -> &'t str = $part;
            let urls = args.text(0);
            Ok(args.strs(|row| urls.get(row).map(part)))
        })
        .doc($doc)
        .examples(&[$($example),+])
    };
}

/// URLs and their parts.
pub(super) const FUNCTIONS: &[Function] = &[
    part!(
        "protocol",
        protocol,
        "The scheme, such as https.",
        ("protocol('https://x.com/')", "https")
    ),
    part!(
        "domain",
        domain,
        "The host, without user and port; '' if there is none.",
        ("domain('http://www.example.com:80/a?b=c')", "www.example.com"),
        ("domain('/a/b')", "")
    ),
    part!(
        "domainWithoutWWW",
        |url| without_www(domain(url)),
        "The host without a leading www.",
        ("domainWithoutWWW('http://www.example.com/a')", "example.com")
    ),
    part!(
        "topLevelDomain",
        |url| top_level(domain(url)),
        "What follows the last dot of the host.",
        ("topLevelDomain('https://a.x.co.uk/')", "uk")
    ),
    part!(
        "netloc",
        authority,
        "User, host and port.",
        ("netloc('http://u:p@x.com:80/a')", "u:p@x.com:80")
    ),
    part!(
        "path",
        |url| before(path_full(url), &['?', '#']),
        "The path, without query and fragment.",
        ("path('https://x.com/a/b?c=d#e')", "/a/b")
    ),
    part!(
        "pathFull",
        path_full,
        "The path with query and fragment.",
        ("pathFull('https://x.com/a/b?c=d#e')", "/a/b?c=d#e")
    ),
    part!(
        "queryString",
        |url| after(before(url, &['#']), '?'),
        "What stands between ? and #.",
        ("queryString('https://x.com/a?c=d#e')", "c=d")
    ),
    part!(
        "fragment",
        |url| after(url, '#'),
        "What follows #.",
        ("fragment('https://x.com/a?c=d#e')", "e")
    ),
    part!(
        "queryStringAndFragment",
        |url| match url.find(['?', '#']) {
            Some(at) if url.as_bytes()[at] == b'?' => &url[at + 1..],
            Some(at) => &url[at..],
            None => "",
        },
        "What follows the ?, fragment included.",
        ("queryStringAndFragment('https://x.com/a?c=d#e')", "c=d#e")
    ),
    Function::scalar("port", &[Arg::Text, Arg::Int], Returns::Int, |args| {
        let (urls, defaults) = (args.text(0), (args.count() > 1).then(|| args.int(1)));
        Ok(args.ints(|row| {
            let port = port(urls.get(row)?).map(i64::from);
            let default = defaults.map_or(Some(0), |defaults| defaults.get(row));
            port.or(default)
        }))
    })
    .optional(1)
    .doc("The port; the second argument, by default 0, if there is none.")
    .examples(&[("port('http://x.com:81/')", "81"), ("port('http://x.com/', 80)", "80")]),
    part!(
        "cutFragment",
        |url| before(url, &['#']),
        "The URL without its fragment.",
        ("cutFragment('http://x.com/a?b#d')", "http://x.com/a?b")
    ),
    part!(
        "cutQueryStringAndFragment",
        |url| before(url, &['?', '#']),
        "The URL without query and fragment.",
        ("cutQueryStringAndFragment('http://x.com/a?b#d')", "http://x.com/a")
    ),
    text_of_text!(
        "cutQueryString",
        cut_query,
        "The URL without its query.",
        ("cutQueryString('http://x.com/a?b=c#d')", "http://x.com/a#d")
    ),
    text_of_text!(
        "cutWWW",
        cut_www,
        "The URL without a leading www. of its host.",
        ("cutWWW('http://www.x.com/a')", "http://x.com/a")
    ),
    Function::scalar("extractURLParameter", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let (urls, names) = (args.text(0), args.text(1));
        Ok(args.strs(|row| {
            let (url, name) = (urls.get(row)?, names.get(row)?);
            let found = parameters(url).find_map(|parameter| {
                parameter.split_once('=').filter(|(known, _)| *known == name)
            });
            Some(found.map_or("", |(_, value)| value))
        }))
    })
    .doc("The value of a parameter, as it is written; '' if there is none.")
    .examples(&[
        ("extractURLParameter('http://x.com/?a=1&b=2#f', 'b')", "2"),
        ("extractURLParameter('http://x.com/?a=1', 'c')", ""),
    ]),
    Function::scalar("extractURLParameters", &[Arg::Text], Returns::Texts, |args| {
        lists(args, |url, out| {
            let valued = parameters(url).filter(|parameter| parameter.contains('='));
            valued.for_each(|parameter| out.append_value(parameter));
        })
    })
    .doc("All parameters, as name=value.")
    .examples(&[("extractURLParameters('http://x.com/?a=1&b=2')", "['a=1','b=2']")]),
    Function::scalar("extractURLParameterNames", &[Arg::Text], Returns::Texts, |args| {
        lists(args, |url, out| {
            let names = parameters(url).filter_map(|parameter| parameter.split_once('='));
            names.for_each(|(name, _)| out.append_value(name));
        })
    })
    .doc("The names of all parameters.")
    .examples(&[("extractURLParameterNames('http://x.com/?a=1&b=2')", "['a','b']")]),
    Function::scalar("cutURLParameter", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let (urls, names) = (args.text(0), args.text(1));
        args.texts(|row, out| {
            let (Some(url), Some(name)) = (urls.get(row), names.get(row)) else { return Ok(None) };
            cut_parameter(url, name, out);
            Ok(Some(()))
        })
    })
    .doc("The URL without a parameter.")
    .examples(&[("cutURLParameter('http://x.com/?a=1&b=2', 'a')", "http://x.com/?b=2")]),
    text_of_text!(
        "decodeURLComponent",
        |text, out| decode(text, false, out),
        "The text with %XX replaced by the bytes they stand for.",
        ("decodeURLComponent('a%20b')", "a b")
    ),
    text_of_text!(
        "decodeURLFormComponent",
        |text, out| decode(text, true, out),
        "As decodeURLComponent, with + as a blank.",
        ("decodeURLFormComponent('a+b')", "a b")
    ),
    text_of_text!(
        "encodeURLComponent",
        |text, out| encode(text, "%20", out),
        "The text with special characters as %XX.",
        ("encodeURLComponent('a b/c')", "a%20b%2Fc")
    ),
    text_of_text!(
        "encodeURLFormComponent",
        |text, out| encode(text, "+", out),
        "As encodeURLComponent, with blanks as +.",
        ("encodeURLFormComponent('a b/c')", "a+b%2Fc")
    ),
];

fn before<'t>(text: &'t str, ends: &[char]) -> &'t str {
    text.find(ends).map_or(text, |at| &text[..at])
}

fn after(text: &str, start: char) -> &str {
    text.split_once(start).map_or("", |(_, rest)| rest)
}

fn protocol(url: &str) -> &str {
    let Some((scheme, _)) = url.split_once(':') else { return "" };
    let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let valid = letters && scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    if valid { scheme } else { "" }
}

/// What follows the scheme and its slashes; none without slashes.
fn after_slashes(url: &str) -> Option<&str> {
    let scheme = protocol(url);
    let rest = if scheme.is_empty() { url } else { &url[scheme.len() + 1..] };
    rest.strip_prefix("//")
}

fn authority(url: &str) -> &str {
    let rest = after_slashes(url).unwrap_or(url);
    before(rest, &['/', '?', '#'])
}

fn port(url: &str) -> Option<u16> {
    authority(url).rsplit_once(':')?.1.parse().ok()
}

/// A host has a dot that is not at its end, and none of the characters that end one.
fn domain(url: &str) -> &str {
    // A mail address is no URL.
    if after_slashes(url).is_none() && url.contains('@') {
        return "";
    }
    let authority = authority(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = before(host, &[':']);
    let valid =
        host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b) || b >= 0x80);
    let dotted = host.find('.').is_some_and(|at| at > 0 && at + 1 < host.len());
    if valid && dotted { host } else { "" }
}

fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

fn top_level(host: &str) -> &str {
    // Numbers: an address, not a name.
    match host.rsplit_once('.') {
        Some((_, last)) if !last.starts_with(|c: char| c.is_ascii_digit()) => last,
        _ => "",
    }
}

fn path_full(url: &str) -> &str {
    let rest = after_slashes(url).unwrap_or(url);
    match rest.find(['/', '?', '#']) {
        Some(at) if rest.as_bytes()[at] == b'/' => &rest[at..],
        _ => "",
    }
}

fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let query = url.find(['?', '#']).map_or("", |at| &url[at + 1..]);
    query.split(['&', '#']).filter(|parameter| !parameter.is_empty())
}

fn cut_query(url: &str, out: &mut String) {
    let (body, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    out.push_str(before(body, &['?']));
    out.push_str(fragment);
}

fn cut_www(url: &str, out: &mut String) {
    let host = url.len() - after_slashes(url).map_or(0, str::len);
    let (head, rest) = if host == url.len() { ("", url) } else { url.split_at(host) };
    out.push_str(head);
    out.push_str(if head.is_empty() { rest } else { without_www(rest) });
}

fn cut_parameter(url: &str, name: &str, out: &mut String) {
    let Some(start) = url.find('?').map(|at| at + 1) else {
        out.push_str(url);
        return;
    };
    let (query, fragment) =
        url[start..].split_at(url[start..].find('#').unwrap_or(url.len() - start));
    out.push_str(&url[..start]);
    let kept = query
        .split('&')
        .filter(|parameter| parameter.split_once('=').is_none_or(|(known, _)| known != name));
    for (i, parameter) in kept.enumerate() {
        out.push_str(if i > 0 { "&" } else { "" });
        out.push_str(parameter);
    }
    out.push_str(fragment);
}

/// Bytes that are no UTF-8 become replacement characters.
fn decode(text: &str, form: bool, out: &mut String) {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if form && *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    out.push_str(&String::from_utf8_lossy(&decoded));
}

fn encode(text: &str, blank: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push_str(blank),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

fn lists(args: &Arguments<'_>, write: fn(&str, &mut StringViewBuilder)) -> Result<ArrayRef> {
    let urls = args.text(0);
    let mut builder =
        ListBuilder::new(StringViewBuilder::new()).with_field(Type::String.item_field());
    for row in 0..args.rows {
        let url = urls.get(row);
        if let Some(url) = url {
            write(url, builder.values());
        }
        builder.append(url.is_some());
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

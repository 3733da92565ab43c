//! JSON pointers of places in a document.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{DEPTH_MAX, Json, Kind, Result};

/// Where the values that begin at `offsets`, in ascending order, lie in their document: their JSON pointers
/// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), found in one walk. An offset at which no value begins gets the
/// pointer of a value beside it.
///
/// `spans` are values that are known to be whole, where they begin and end, in order: they are not walked through in
/// vain.
pub(crate) fn pointers(source: &[u8], offsets: &[usize], spans: &[(u32, u32)]) -> Vec<String> {
    let mut walk = Walk { offsets, spans, found: Vec::with_capacity(offsets.len()), path: String::new() };
    // A document that is broken further on has its pointers up to there.
    let _ = walk.value(&mut Json::new(source, 0, DEPTH_MAX));
    let (mut found, last) = (walk.found, walk.path);
    found.resize(offsets.len(), last);
    found
}

struct Walk<'o> {
    offsets: &'o [usize],
    spans: &'o [(u32, u32)],
    found: Vec<String>,
    path: String,
}

impl Walk<'_> {
    fn value(&mut self, json: &mut Json<'_>) -> Result<()> {
        let kind = json.kind()?;
        let next = self.offsets.get(self.found.len()..).unwrap_or_default();
        let here = next.iter().take_while(|offset| **offset <= json.pos).count();
        for _ in 0..here {
            self.found.push(self.path.clone());
        }
        let Some(&next) = self.offsets.get(self.found.len()) else { return json.fault("all were found") };
        // What ends before the next offset has nothing of interest in it.
        let mut after = json.clone();
        let span = self.spans.binary_search_by_key(&json.pos, |span| span.0 as usize);
        match span.ok().and_then(|span| self.spans.get(span)) {
            Some(span) => after.pos = span.1 as usize,
            None => after.pos = after.skip()?.end,
        }
        if after.pos <= next {
            *json = after;
            return Ok(());
        }
        if kind != Kind::Object && kind != Kind::Array {
            self.found.push(self.path.clone());
            return self.value(json);
        }
        let (mut more, mut index, len) = (json.open(kind)?, 0, self.path.len());
        while more {
            self.path.push('/');
            if kind == Kind::Object {
                let name = json.name()?;
                let name = String::from_utf8_lossy(&json.unescaped(name)).replace('~', "~0");
                self.path.push_str(&name.replace('/', "~1"));
            } else {
                self.path.push_str(&index.to_string());
            }
            self.value(json)?;
            self.path.truncate(len);
            (more, index) = (json.next(kind)?, index + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_pointer() {
        let source = r#" {"a":[1, {"b/c~":null, "\u00e9":"x"}], "d" : {"":[[]]}, "e":2}"#;
        let value: serde_json::Value = serde_json::from_str(source).expect("JSON");
        let starts: Vec<usize> = ["1,", "{\"b", "null", "\"x", "{\"\"", "[[", "[]", "2}"]
            .iter()
            .map(|start| source.find(start).expect("it is there"))
            .collect();
        let all = pointers(source.as_bytes(), &starts, &[]);
        assert_eq!(all, ["/a/0", "/a/1", "/a/1/b~1c~0", "/a/1/é", "/d", "/d/", "/d//0", "/e"]);
        for (start, pointer_of_all) in starts.iter().zip(&all) {
            assert_eq!(pointers(source.as_bytes(), &[*start], &[]).first(), Some(pointer_of_all));
            assert!(value.pointer(pointer_of_all).is_some());
        }
        assert_eq!(pointers(source.as_bytes(), &[1], &[]), [""]);
        assert_eq!(pointers(b"[1 , 2]", &[1, 1, 2, 5, 99], &[]), ["/0", "/0", "/1", "/1", ""]);
        assert_eq!(pointers(b"[[1],2]", &[5], &[(0, 7), (1, 4)]), ["/1"]);
    }
}

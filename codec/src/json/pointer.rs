//! JSON pointers of offsets in a document.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::{DEPTH_MAX, Json, Kind, Result};

/// Known positions in a document, so that a pointer is found without a walk through everything before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Landmarks {
    /// The spans of large values, in order of their start.
    pub(crate) spans: Vec<(u32, u32)>,
    /// For long arrays: the start of the array, and the start and index of one of its elements. In order.
    pub(crate) elements: Vec<(u32, u32, u32)>,
}

/// The JSON pointers ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) of the values that begin at `offsets`, in ascending
/// order, found in one walk. An offset at which no value begins gets the pointer of a value beside it.
pub(crate) fn pointers(source: &[u8], offsets: &[usize], landmarks: &Landmarks) -> Vec<String> {
    let mut walk = Walk { offsets, landmarks, found: Vec::with_capacity(offsets.len()), path: String::new() };
    // A document that is malformed further on has pointers up to there.
    let _ = walk.value(&mut Json::new(source, 0, DEPTH_MAX));
    let (mut found, last) = (walk.found, walk.path);
    found.resize(offsets.len(), last);
    found
}

struct Walk<'o> {
    offsets: &'o [usize],
    landmarks: &'o Landmarks,
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
        // A value that ends before the next offset contains none.
        let mut after = json.clone();
        let spans = &self.landmarks.spans;
        let span = spans.binary_search_by_key(&json.pos, |span| span.0 as usize);
        match span.ok().and_then(|span| spans.get(span)) {
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
        let start = json.pos;
        let (mut more, mut index, len) = (json.open(kind)?, 0, self.path.len());
        while more {
            if let Some((at, known)) = self.landmark(start, json.pos).filter(|_| kind == Kind::Array) {
                (json.pos, index) = (at, known);
            }
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

    /// The last known element of the array at `start` that begins after `pos` and not after the next offset.
    fn landmark(&self, start: usize, pos: usize) -> Option<(usize, u32)> {
        let next = *self.offsets.get(self.found.len())?;
        let elements = &self.landmarks.elements;
        let known = |element: &(u32, u32, u32)| (element.0 as usize, element.1 as usize) <= (start, next);
        let (array, at, index) = *elements.get(elements.partition_point(known).checked_sub(1)?)?;
        (array as usize == start && at as usize > pos).then_some((at as usize, index))
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
        let none = Landmarks::default();
        let all = pointers(source.as_bytes(), &starts, &none);
        assert_eq!(all, ["/a/0", "/a/1", "/a/1/b~1c~0", "/a/1/é", "/d", "/d/", "/d//0", "/e"]);
        for (start, pointer_of_all) in starts.iter().zip(&all) {
            assert_eq!(pointers(source.as_bytes(), &[*start], &none).first(), Some(pointer_of_all));
            assert!(value.pointer(pointer_of_all).is_some());
        }
        assert_eq!(pointers(source.as_bytes(), &[1], &none), [""]);
        assert_eq!(pointers(b"[1 , 2]", &[1, 1, 2, 5, 99], &none), ["/0", "/0", "/1", "/1", ""]);
        let some = Landmarks { spans: Vec::from([(0, 7), (1, 4)]), elements: Vec::new() };
        assert_eq!(pointers(b"[[1],2]", &[5], &some), ["/1"]);
        // Malformed JSON before a landmark is not read.
        let source = b"[[x,x,1,[2],3],[4,5]]";
        let spans = Vec::from([(0, 21), (1, 14)]);
        let some = Landmarks { spans, elements: Vec::from([(1, 6, 2), (1, 12, 4)]) };
        assert_eq!(pointers(source, &[6], &some), ["/0/2"]);
        assert_eq!(pointers(source, &[9, 12], &some), ["/0/3/0", "/0/4"]);
    }
}

import Checkpoint
import Foundation
import Support
import TestSupport
import Testing

@testable import Driver

@Suite struct UnitTests {
    @Test func jsonText() {
        let text = JSONText.object([
            ("a\"\n", .array([1, .number(0.5), .number(.nan), .null, .bool(true)])), ("b", .object([("c", "\\")])),
        ])
        #expect(text.text() == #"{"a\"\u000a": [1, 0.5, null, null, true], "b": {"c": "\\"}}"#)
        #expect(text.text(indent: 0).hasPrefix("{\n  \"a\\\"\\u000a\": [1, 0.5"))
    }
}

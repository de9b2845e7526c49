import Support
import Testing

@testable import Checkpoint

@Suite struct ProtobufReaderTests {
    private func failure(_ bytes: [UInt8]) -> String {
        errorText { () throws(Diagnostic) in
            var reader = ProtobufReader(bytes[...], file: "t"), count = 0
            while try reader.next() != nil { count += 1 }
            return count
        }
    }

    @Test func fields() throws {
        var message = Message()
        message.add(1, -1)
        message.add(2, [7, 8])
        message.add(1000, Float(1.5))
        message.bytes += [25, 1, 0, 0, 0, 0, 0, 0, 0]
        var reader = ProtobufReader(message.bytes[...], file: "t")
        let first = try #require(try reader.next()), second = try #require(try reader.next()), third = try #require(try reader.next())
        let fourth = try #require(try reader.next())
        #expect(try first.integer(reader) == -1)
        #expect(try second.bytes(reader) == [7, 8])
        #expect(try third.number == 1000 && third.float(reader) == 1.5)
        if case .fixed64(1) = fourth.value {} else { Issue.record("expected a 64-bit value") }
        #expect(try reader.next() == nil)
        #expect(
            errorText { () throws(Diagnostic) in try second.integer(reader) }
                == "error: field 2 has another wire type, at byte 11 of file 't'; expected a varint")
    }

    @Test func refusals() {
        let table: [([UInt8], String)] = [
            ([8], "the message ends inside a number, at byte 1 of file 't'; expected more bytes"),
            ([8, 0x80], "the message ends inside a number, at byte 1 of file 't'; expected more bytes"),
            (
                [8] + [UInt8](repeating: 0xFF, count: 9) + [2],
                "a number of more than 64 bits, at byte 1 of file 't'; expected a varint of at most 10 bytes"
            ),
            ([0, 1], "field number 0, at byte 0 of file 't'; expected 1 to 536870911"),
            ([18, 5, 1], "a field of 5 bytes, at byte 0 of file 't'; expected at most 1"),
            ([18] + Message.varint(.max), "a field of 18446744073709551615 bytes, at byte 0 of file 't'; expected at most 0"),
            ([11], "wire type 3, at byte 0 of file 't'; expected 0, 1, 2 or 5"),
            ([13, 1, 2], "the message ends inside a field, at byte 0 of file 't'; expected more bytes"),
            ([9, 1, 2], "the message ends inside a field, at byte 0 of file 't'; expected more bytes"),
        ]
        for (bytes, text) in table { #expect(failure(bytes) == "error: " + text) }
    }
}

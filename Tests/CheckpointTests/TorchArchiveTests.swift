import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// A pickle as torch.save writes it, opcode by opcode.
struct PickleFixture {
    var bytes: [UInt8] = [0x80, 2]

    mutating func global(_ module: String, _ name: String) { bytes += Array("c\(module)\n\(name)\n".utf8) }
    mutating func string(_ text: String) {
        bytes += [0x58] + withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { Array($0) } + Array(text.utf8)
    }
    mutating func integer(_ value: Int) { bytes += [0x4A] + withUnsafeBytes(of: Int32(value).littleEndian) { Array($0) } }
    mutating func add(_ text: String) { bytes += Array(text.utf8) }
    mutating func tuple(_ values: [Int]) {
        add("(")
        for value in values { if Int(Int32(truncatingIfNeeded: value)) == value { integer(value) } else { long(value) } }
        add("t")
    }

    mutating func dictionary() {
        global("collections", "OrderedDict")
        add(")R(")
    }

    mutating func long(_ value: Int) { bytes += [0x8A, 8] + withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    mutating func tensor(
        _ name: String, storage: String = "HalfStorage", key: String, count: Int, offset: Int = 0, shape: [Int], strides: [Int]
    ) {
        string(name)
        tensorValue(storage: storage, key: key, count: count, offset: offset, shape: shape, strides: strides)
    }

    mutating func tensorValue(storage: String = "HalfStorage", key: String, count: Int, offset: Int = 0, shape: [Int], strides: [Int]) {
        global("torch._utils", "_rebuild_tensor_v2")
        tensorArguments(storage: storage, key: key, count: count, offset: offset, shape: shape, strides: strides)
        add("R")
    }

    /// What the rebuilding functions take, with what `more` adds.
    mutating func tensorArguments(
        module: String = "torch", storage: String = "HalfStorage", key: String, count: Int, offset: Int = 0, shape: [Int], strides: [Int],
        more: (inout PickleFixture) -> Void = { _ in }
    ) {
        add("((")
        string("storage")
        global(module, storage)
        string(key)
        string("cpu")
        integer(count)
        add("tQ")
        integer(offset)
        tuple(shape)
        tuple(strides)
        bytes += [0x89]
        global("collections", "OrderedDict")
        add(")R")
        more(&self)
        add("t")
    }

    /// The keys into the dictionary, then the end.
    mutating func finish() { add("u.") }
}

/// A zip archive of stored entries.
struct ZipFixture {
    var entries: [(name: String, bytes: [UInt8])]
    var method: UInt16 = 0
    var isWide = false
    var comment: [UInt8] = []

    var bytes: [UInt8] {
        func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        var file: [UInt8] = [], directory: [UInt8] = []
        for (name, bytes) in entries {
            let offset = file.count, text = Array(name.utf8)
            // Torch pads the local header so that the contents are aligned.
            let padding = [UInt8](repeating: 0x5A, count: (64 - (offset + 30 + text.count + 4) % 64) % 64)
            file += [0x50, 0x4B, 3, 4] + little(UInt16(0)) + little(UInt16(0)) + little(method) + little(UInt32(0)) + little(UInt32(0))
            file +=
                little(UInt32(bytes.count)) + little(UInt32(bytes.count)) + little(UInt16(text.count)) + little(UInt16(padding.count + 4))
            file += text + Array("FB".utf8) + little(UInt16(padding.count)) + padding + bytes
            let extra =
                isWide
                ? little(UInt16(1)) + little(UInt16(24)) + little(UInt64(bytes.count)) + little(UInt64(bytes.count))
                    + little(UInt64(offset)) : []
            directory +=
                [0x50, 0x4B, 1, 2] + little(UInt16(0)) + little(UInt16(0)) + little(UInt16(0)) + little(method) + little(UInt32(0))
                + little(UInt32(0))
            directory +=
                little(isWide ? .max : UInt32(bytes.count)) + little(isWide ? .max : UInt32(bytes.count)) + little(UInt16(text.count))
            directory += little(UInt16(extra.count)) + little(UInt16(0)) + little(UInt16(0)) + little(UInt16(0)) + little(UInt32(0))
            directory += little(isWide ? .max : UInt32(offset)) + text + extra
        }
        let start = file.count
        file += directory
        if isWide {
            let end = file.count
            file += [0x50, 0x4B, 6, 6] + little(UInt64(44)) + little(UInt16(0)) + little(UInt16(0)) + little(UInt32(0)) + little(UInt32(0))
            file += little(UInt64(entries.count)) + little(UInt64(entries.count)) + little(UInt64(directory.count)) + little(UInt64(start))
            file += [0x50, 0x4B, 6, 7] + little(UInt32(0)) + little(UInt64(end)) + little(UInt32(1))
        }
        file +=
            [0x50, 0x4B, 5, 6] + little(UInt32(0)) + little(isWide ? .max : UInt16(entries.count))
            + little(isWide ? .max : UInt16(entries.count))
        file +=
            little(isWide ? .max : UInt32(directory.count)) + little(isWide ? .max : UInt32(start)) + little(UInt16(comment.count))
            + comment
        return file
    }
}

@Suite struct TorchArchiveTests {
    let folder = TemporaryFolder()

    /// Two tensors of one storage of six halves 0...5, and a parameter-free integer tensor.
    private func archive(_ spoil: (inout PickleFixture) -> Void = { _ in }, halves: Int = 6) -> ZipFixture {
        var pickle = PickleFixture()
        pickle.dictionary()
        pickle.tensor("a", key: "0", count: halves, shape: [2, 2], strides: [2, 1])
        pickle.tensor("b", key: "0", count: halves, offset: 4, shape: [1, 2], strides: [77, 1])
        pickle.tensor("ids", storage: "LongStorage", key: "1", count: 1, shape: [1], strides: [1])
        spoil(&pickle)
        pickle.finish()
        let values = (0..<6).flatMap { index in withUnsafeBytes(of: Float16(index).bitPattern.littleEndian) { Array($0) } }
        return ZipFixture(entries: [
            ("archive/data.pkl", pickle.bytes), ("archive/byteorder", Array("little".utf8)), ("archive/data/0", values),
            ("archive/data/1", [UInt8](repeating: 0, count: 8)), ("archive/version", Array("3\n".utf8)),
        ])
    }

    private func open(_ bytes: [UInt8]) throws(Diagnostic) -> TensorFile {
        folder.write("x.bin", bytes)
        return try TensorFile(path: folder.file("x.bin"))
    }

    private func failure(_ bytes: [UInt8]) -> String {
        errorText(in: folder) { () throws(Diagnostic) in try open(bytes).tensors.keys.sorted() }
    }

    private func values(_ name: String, _ file: TensorFile) throws -> [Float] {
        let tensor = try #require(file.tensors[name])
        return TensorEntry(
            canonicalName: name, sourceName: name, dtype: try #require(tensor.dtype.elementType), shape: tensor.shape,
            file: file.file, range: tensor.range
        ).floats()
    }

    @Test(arguments: [false, true])
    func tensors(_ isWide: Bool) throws {
        var zip = archive()
        zip.isWide = isWide
        zip.comment = Array("a comment that holds PK\u{5}\u{6}".utf8)
        let file = try open(zip.bytes)
        #expect(file.tensors.keys.sorted() == ["a", "b", "ids"])
        #expect(file.tensors["a"]?.shape == [2, 2] && file.tensors["b"]?.shape == [1, 2] && file.tensors["ids"]?.dtype == .other(.int64))
        #expect(try values("a", file) == [0, 1, 2, 3])
        #expect(try values("b", file) == [4, 5])
    }

    /// What torch writes of parameters and tensors that carry attributes of Python, and of types that have no class of storage.
    @Test func rebuiltTensors() throws {
        func attributes(_ pickle: inout PickleFixture) {
            pickle.add("}(")
            pickle.string("shape")
            pickle.global("torch", "Size")
            pickle.add("(")
            pickle.tuple([2, 3])
            pickle.add("tR")
            pickle.string("device")
            pickle.global("torch", "device")
            pickle.add("(")
            pickle.string("cpu")
            pickle.add("tR")
            pickle.string("type")
            pickle.global("torch", "float16")
            pickle.add("u")
        }
        let file = try open(
            archive { pickle in
                pickle.string("parameter")
                pickle.global("torch._utils", "_rebuild_parameter_with_state")
                pickle.add("(")
                pickle.tensorValue(key: "0", count: 6, shape: [3], strides: [1])
                pickle.bytes += [0x88]
                pickle.global("collections", "OrderedDict")
                pickle.add(")R")
                attributes(&pickle)
                pickle.add("tR")

                pickle.string("typed")
                pickle.global("torch._tensor", "_rebuild_from_type_v2")
                pickle.add("(")
                pickle.global("torch._utils", "_rebuild_tensor_v2")
                pickle.global("torch", "Tensor")
                pickle.tensorArguments(key: "0", count: 6, offset: 1, shape: [2, 2], strides: [2, 1])
                attributes(&pickle)
                pickle.add("tR")

                pickle.string("float8")
                pickle.global("torch._utils", "_rebuild_tensor_v3")
                pickle.tensorArguments(module: "torch.storage", storage: "UntypedStorage", key: "1", count: 8, shape: [4], strides: [1]) {
                    $0.global("torch", "float8_e4m3fn")
                }
                pickle.add("R")
            }.bytes)
        #expect(try values("parameter", file) == [0, 1, 2])
        #expect(try values("typed", file) == [1, 2, 3, 4])
        #expect(file.tensors["float8"]?.dtype == .other(.float8E4M3) && file.tensors["float8"]?.shape == [4])
    }

    @Test func emptyTensorOfAnImpossibleSize() throws {
        let bytes = archive { $0.tensor("c", key: "0", count: 6, shape: [1 << 62, 4, 0], strides: [4, 1, 1]) }.bytes
        #expect(try open(bytes).tensors["c"]?.range.isEmpty == true)
    }

    /// A pickle's values are counted, since each may be a single byte.
    @Test(arguments: [[UInt8(ascii: "(")], [UInt8(ascii: "N"), 0x94]])
    func manyValues(_ opcodes: [UInt8]) {
        let pickle = [0x80, 2] + [[UInt8]](repeating: opcodes, count: TorchPickle.maximumValues + 1).flatMap(\.self)
        let text = failure(ZipFixture(entries: [("archive/data.pkl", pickle)]).bytes)
        #expect(text.hasPrefix("error: more than \(TorchPickle.maximumValues) values, at byte"), "\(text.prefix(200))")
    }

    @Test func whatIsNoDictionaryOfTensors() {
        func spoiled(_ spoil: (inout PickleFixture) -> Void) -> String {
            let text = failure(archive(spoil).bytes)
            // Without the place, which the opcodes' lengths decide.
            return text.replacing(/, at byte \d+ of file 'DIR\/x.bin'/, with: "")
        }
        #expect(
            spoiled {
                $0.string("c")
                $0.global("posix", "system")
                $0.add("(")
                $0.string("touch /tmp/x")
                $0.add("tR")
            } == "error: the pickle names 'posix.system'; expected tensors in dictionaries only")
        #expect(
            spoiled {
                $0.string("c")
                $0.string("state")
            } == "error: key 'c' holds a string; expected a tensor")
        #expect(
            spoiled {
                $0.string("c")
                $0.add("}")
            } == "error: key 'c' holds a dictionary; expected a tensor")
        #expect(
            spoiled { $0.tensor("c", key: "0", count: 6, shape: [2, 3], strides: [1, 2]) }
                == "error: a tensor [2, 3] with strides [1, 2]; expected contiguous elements")
        #expect(
            spoiled { $0.tensor("c", key: "0", count: 6, offset: 3, shape: [4], strides: [1]) }
                == "error: 4 elements from 3 of a storage of 6; expected elements inside the storage")
        #expect(
            spoiled { $0.tensor("c", key: "0", count: 6, shape: [-1], strides: [1]) }
                == "error: impossible shape [-1]; expected sizes whose product is a 64-bit count")
        #expect(
            spoiled { $0.tensor("a", key: "0", count: 6, shape: [6], strides: [1]) }
                == "error: key 'a' stands twice; expected distinct keys")
        #expect(
            spoiled { $0.add("0") } == "error: pickle opcode 48; expected tensors in dictionaries, as torch.save writes a state dictionary")
        #expect(spoiled { $0.bytes += [0x85, 0x85, 0x85, 0x85, 0x85, 0x85] }.contains("nested 5 deep"))
        #expect(spoiled { $0.add("h\u{7}") } == "error: nothing was remembered under 7; expected an earlier number")
        #expect(
            spoiled { $0.tensor("c", storage: "QInt8Storage", key: "0", count: 6, shape: [6], strides: [1]) }
                == "error: the pickle names 'torch.QInt8Storage'; expected tensors in dictionaries only")
    }

    @Test func archives() {
        #expect(
            failure(archive(halves: 7).bytes)
                == "error: storage '0' has 12 bytes, at tensor 'a' of file 'DIR/x.bin'; expected 7 elements of 2 bytes")
        var zip = archive()
        zip.entries[2].name = "archive/data/9"
        #expect(
            failure(zip.bytes) == "error: storage '0' is missing, at tensor 'a' of file 'DIR/x.bin'; expected the entry 'archive/data/0'")
        zip = archive()
        zip.entries[1].bytes = Array("big".utf8)
        #expect(failure(zip.bytes) == "error: byte order 'big', at file 'DIR/x.bin'; expected 'little'")
        zip = archive()
        zip.entries[0].name = "archive/other.pkl"
        #expect(failure(zip.bytes) == "error: 0 entries 'data.pkl', at file 'DIR/x.bin'; expected one, as torch.save writes it")
        zip = archive()
        zip.method = 8
        #expect(failure(zip.bytes).contains("is compressed, at byte"))
        #expect(
            failure(Array(archive().bytes.dropLast(30)))
                == "error: the zip archive has no directory, at file 'DIR/x.bin'; expected a whole file; note: the file seems to be truncated"
        )
        #expect(
            failure([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E])
                == "error: the file is in torch's format before 1.6, which is no zip archive, at file 'DIR/x.bin'; expected a file saved by torch 1.6 or later, or safetensors"
        )
        zip = archive()
        zip.entries.append(zip.entries[2])
        #expect(failure(zip.bytes).contains("entry 'archive/data/0' stands twice"))
    }

    /// A safetensors header of any length is one, though its first bytes were those of another format.
    @Test func lengthsThatLookLikeOtherFormats() throws {
        let (header, size) = safetensorsHeader(["a": TensorFixture(shape: [4])])
        for length in [0x80, 0x280, 0x4B50] where length > header.count - 8 {
            let padded = Array(header[8...]) + [UInt8](repeating: 0x20, count: length - (header.count - 8))
            #expect(try open(framed(padded) + [UInt8](repeating: 0, count: size)).tensors.keys.sorted() == ["a"])
        }
    }

    /// Every way to cut or change a file ends in a message or in tensors that can be read.
    @Test(arguments: [false, true])
    func mutations(_ isWide: Bool) throws {
        var zip = archive()
        zip.isWide = isWide
        let whole = zip.bytes
        var random = SeededGenerator(seed: isWide ? 11 : 12)
        var refused = 0
        for round in 0..<3000 {
            var bytes = whole
            if round < whole.count {
                bytes.removeSubrange(round...)
            } else {
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                    case 2: bytes[place] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random)!
                    default: bytes.remove(at: place)
                    }
                }
            }
            do throws(Diagnostic) {
                let file = try open(bytes)
                for name in file.tensors.keys where file.tensors[name]!.dtype.elementType != nil {
                    _ = try? values(name, file)
                }
            } catch { refused += 1 }
        }
        #expect(refused > 2000)
    }
}

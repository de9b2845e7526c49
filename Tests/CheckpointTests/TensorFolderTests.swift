import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct TensorFolderTests {
    private let folder = TemporaryFolder()

    private func failure() -> String {
        errorText(in: folder) { () throws(Diagnostic) in try TensorFolder(path: folder.path).tensors.count }
    }

    private func writeShards(_ map: [String: Any]) {
        folder.write("1.safetensors", safetensors(["a": TensorFixture(shape: [2]), "b": TensorFixture(shape: [3])]))
        folder.write("2.safetensors", safetensors(["c": TensorFixture(shape: [4])]))
        folder.write("model.safetensors.index.json", json: ["weight_map": map])
    }

    @Test func shards() throws {
        writeShards(["a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"])
        let tensors = try TensorFolder(path: folder.path)
        #expect(tensors.tensors.keys.sorted() == ["a", "b", "c"])
        #expect(tensors.tensors["c"]?.file.path == folder.file("2.safetensors"))
        #expect(tensors.listing == folder.file("model.safetensors.index.json"))
    }

    @Test func singleFileComesFirst() throws {
        writeShards(["a": "none"])
        folder.write("model.safetensors", safetensors(["z": TensorFixture(shape: [1])]))
        #expect(try TensorFolder(path: folder.path).tensors.keys.sorted() == ["z"])
    }

    @Test func brokenIndex() {
        let index = "DIR/model.safetensors.index.json"
        writeShards(["a": "3.safetensors"])
        #expect(failure() == "error: shard '3.safetensors' is missing, at file '\(index)'; expected the file 'DIR/3.safetensors'")
        writeShards(["a": "1.safetensors", "d": "2.safetensors"])
        #expect(failure() == "error: tensor 'd' is missing from its shard, at file 'DIR/2.safetensors'; expected what '\(index)' lists")
        for name in ["../1.safetensors", "/etc/passwd", "sub/1.safetensors", "", "..", "."] {
            writeShards(["a": name])
            #expect(
                failure() == "error: key 'weight_map.a' is '\(name)', at file '\(index)'; expected the name of a file in the same folder")
        }
        writeShards(["a": 1])
        #expect(failure() == "error: key 'weight_map.a' is an integer, at file '\(index)'; expected a string")
        folder.write("model.safetensors.index.json", json: [String: Int]())
        #expect(failure() == "error: key 'weight_map' is missing, at file '\(index)'; expected an object")
    }

    @Test func tensorInTwoShards() {
        writeShards(["a": "1.safetensors", "c": "2.safetensors"])
        folder.write("2.safetensors", safetensors(["c": TensorFixture(shape: [4]), "b": TensorFixture(shape: [3])]))
        #expect(
            failure()
                == "error: the tensor is also in shard 'DIR/1.safetensors', at tensor 'b' of file 'DIR/2.safetensors'; expected one shard per tensor"
        )
    }

    @Test func truncatedShard() throws {
        writeShards(["a": "1.safetensors", "c": "2.safetensors"])
        let bytes = safetensors(["c": TensorFixture(shape: [4])])
        folder.write("2.safetensors", Array(bytes.dropLast(3)))
        #expect(
            failure() == """
                error: the file has \(bytes.count - 3) bytes, at file 'DIR/2.safetensors'; expected \(bytes.count) bytes, which its header describes; \
                note: the file seems to be truncated
                """)
    }

    @Test func foldersWithoutWeights() {
        let expected = "'model.safetensors' or 'model.safetensors.index.json'"
        #expect(failure() == "error: no weights, at file 'DIR'; expected \(expected)")
        folder.write("pytorch_model-00001-of-00002.bin", "x")
        #expect(
            failure()
                == "error: PyTorch weights under the name 'pytorch_model-00001-of-00002.bin', at file 'DIR'; expected 'pytorch_model.bin' or 'pytorch_model.bin.index.json'"
        )
        folder.write("weights.safetensors", "x")
        #expect(failure() == "error: no 'model.safetensors', only 'weights.safetensors', at file 'DIR'; expected \(expected)")
        folder.write("more.safetensors", "x")
        #expect(failure() == "error: 2 safetensors files without an index, at file 'DIR'; expected 'model.safetensors.index.json'")
    }
}

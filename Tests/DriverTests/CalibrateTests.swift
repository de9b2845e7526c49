import Foundation
import TestSupport
import Testing

@testable import Driver

/// `lmmc calibrate`, and what `compile --calibration` makes of its file.
@Suite(.serialized) struct CalibrateTests {
    private func data(_ scratch: Scratch, prompts: String = "what is this?\n\nhow many are there?\n", images: [String] = ["photo.jpg"])
        throws -> String
    {
        let folder = scratch["data"]
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try prompts.write(toFile: folder + "/prompts.txt", atomically: true, encoding: .utf8)
        for image in images { try FileManager.default.copyItem(atPath: "\(goldens)/images/\(image)", toPath: "\(folder)/\(image)") }
        return folder
    }

    /// Rows have a mean square of 1, so the squares of a norm's magnitudes have it too. The first norm reads the embedding, which no product
    /// makes; those behind the last attention see the last row alone.
    @Test func measuresEveryNormBehindAProduct() throws {
        let scratch = try Scratch()
        let model = "\(goldens)/released-stf", file = scratch["calibration.safetensors"]
        let result = try lmmc("calibrate", model, "--data", data(scratch), "-o", file, "--quiet")
        try #require(result.status == 0, "\(result.errors)")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let length = bytes.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let header = try #require(try JSONSerialization.jsonObject(with: bytes[8..<8 + length]) as? [String: [String: Any]])
        let layers = Set(header.keys.compactMap { $0.split(separator: ".").dropFirst(2).first })
        #expect(layers.count > 1 && header.count == 2 * layers.count - 2, "\(header.keys.sorted())")
        #expect(header["calibration.decoder.layer0.attention.norm"] == nil && header["calibration.decoder.layer0.mlp.norm"] != nil)
        for (name, tensor) in header {
            let offsets = try #require(tensor["data_offsets"] as? [Int])
            let values = stride(from: 8 + length + offsets[0], to: 8 + length + offsets[1], by: 4).map { at in
                Float(bitPattern: bytes[at..<at + 4].enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << (8 * $1.offset) })
            }
            let square = values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)
            #expect(abs(square - 1) < 0.01, "\(name): \(square)")
        }

        // The same question answered, by weights that are written in another way.
        let plain = try lmmc("compile", model, "-o", scratch["plain"], "--quiet")
        let calibrated = try lmmc("compile", model, "-o", scratch["calibrated"], "--quiet", "--calibration", file)
        try #require(plain.status == 0 && calibrated.status == 0, "\(plain.errors)\(calibrated.errors)")
        let text = try lmmc("ir", model, "--stage", "optimized", "--calibration", file).output
        #expect(text.contains("@decoder.layer0.mlp.norm.magnitude : f32["))
        var logits: [NumPyArray] = []
        for program in ["plain", "calibrated"] {
            let dump = scratch[program + ".dump"]
            let ran = try run(
                [scratch[program], "--image", "images/photo.jpg", "--prompt", "x", "--max-tokens", "1", "--dump", dump], folder: goldens)
            try #require(ran.status == 0, "\(ran.errors)")
            logits.append(try NumPyArray(path: dump + "/logits.npy").firstRow)
        }
        // Both are int8's distance (PrecisionTests) from the truth, and not the same.
        let distance = logits[0].relativeDistance(to: logits[1])
        #expect(distance > 1e-5 && distance <= 2 * 40 * 5.7e-3, "\(distance)")
    }

    /// The norms ahead of a decoder are measured too, and taken for such a model alone.
    @Test func normsOfAPrefusion() throws {
        let scratch = try Scratch()
        let file = scratch["calibration.safetensors"], name = "prefusion.layer1.mlp.norm"
        let header = Array(#"{"calibration.\#(name)":{"dtype":"F32","shape":[32],"data_offsets":[0,128]}}"#.utf8)
        var bytes = Data(withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header)
        for _ in 0..<32 { bytes.append(contentsOf: withUnsafeBytes(of: Float(1.5).bitPattern.littleEndian, Array.init)) }
        try bytes.write(to: URL(fileURLWithPath: file))
        let taken = try lmmc("ir", "\(goldens)/llava-mini-s2", "--stage", "optimized", "--precision", "int8", "--calibration", file)
        #expect(taken.status == 0 && taken.output.contains("@\(name).magnitude : f32[32]"), "\(taken.errors)")
        let other = try lmmc("inspect", "\(goldens)/voco", "--calibration", file)
        #expect(other.status == 1 && other.errors.contains("the model has no norm '\(name)'"), "\(other.errors)")
    }

    @Test func refusals() throws {
        let scratch = try Scratch()
        let model = "\(goldens)/released-stf", out = scratch["out"]
        var result = try lmmc("calibrate", model, "--data", scratch["nowhere"], "-o", out, "--quiet")
        #expect(result.status == 1 && result.errors.contains("is not a folder"), "\(result.errors)")
        result = try lmmc("calibrate", model, "--data", data(scratch, prompts: " \n", images: []), "-o", out, "--quiet")
        #expect(result.status == 1 && result.errors.contains("no prompt"), "\(result.errors)")
        result = try lmmc("calibrate", "\(goldens)/decoder-tied", "--data", data(scratch), "-o", out, "--quiet")
        #expect(result.status == 1 && result.errors.contains("the model takes no images"), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: out))
        // A file of weights is none of measurements.
        result = try lmmc("compile", model, "-o", out, "--quiet", "--calibration", "\(goldens)/decoder-tied/model.safetensors")
        #expect(result.status == 1 && result.errors.contains("expected a file that 'lmmc calibrate' wrote"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: out))
    }
}

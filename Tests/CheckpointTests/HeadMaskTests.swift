import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct HeadMaskTests {
    private let blocks = [[true, true, true], [false, true, false]]

    private func read(_ bytes: [UInt8], heads: Int = 3) -> String {
        errorText { () throws(Diagnostic) in try HeadMask(bytes, path: "m.npy", blocks: 2, heads: heads).blocks }
    }

    private let good = "no error but [[true, true, true], [false, true, false]]"

    @Test func filesOfEveryVersionAreRead() throws {
        let file = headMaskFile(blocks)
        #expect(read(file) == good)
        // Version 2 and 3 have two bytes more of the header's length.
        for version in [UInt8(2), 3] {
            #expect(read(file[..<6] + [version, 0] + file[8..<10] + [0, 0] + file[10...]) == good)
        }
        #expect(read(headMaskFile(blocks, header: "{'shape':(2,3),'fortran_order':False,'descr':'?'}")) == good)
        // numpy's own file
        let golden = try HeadMask(path: repository + "/Tests/Golden/reducers/heads8.npy", blocks: 6, heads: 4)
        #expect(golden.blocks.map { $0.count { $0 } } == [4, 4, 3, 3, 3, 3] && golden.blocks[2] == [true, false, true, true])
    }

    @Test func filesAreNotTrusted() {
        let file = headMaskFile(blocks)
        func header(_ text: String) -> [UInt8] { headMaskFile(blocks, header: text) }
        let expected: [([UInt8], String)] = [
            ([], "is no NumPy file"), (Array(file[..<11]), "is no NumPy file"), (Array("NUMPY, or not".utf8), "is no NumPy file"),
            (file[..<6] + [4] + file[7...], "has no header of format 1 to 3"), (Array(file[..<100]), "has no header of format 1 to 3"),
            (file[..<6] + [2, 0, 255, 255, 255, 255] + file[12...], "has no header of format 1 to 3"),
            (header("{}"), "has no 'descr', 'fortran_order' and 'shape'"),
            (header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"), "has elements "),
            (header("{'descr': '|b1', 'fortran_order': True, 'shape': (2, 3), }"), "is in Fortran's order"),
            (header("{'descr': '|b1', 'fortran_order': False, 'shape': (3, 2), }"), "has shape '(3,2)'"),
            (header("{'descr': '|b1', 'fortran_order': False, 'shape': (6,), }"), "has shape '(6,)'"),
            (header("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3"), "has no 'descr', 'fortran_order' and 'shape'"),
            (Array(file.dropLast()), "has 5 bytes of elements"), (file + [0], "has 7 bytes of elements"),
            (file.dropLast() + [2], "has elements that are neither 0 nor 1"),
        ]
        for (bytes, problem) in expected {
            let error = read(bytes)
            #expect(error.hasPrefix("error: the mask of heads \(problem)"), "\(error)")
            #expect(error.hasSuffix(", at file 'm.npy'; expected a NumPy file, bool [2, 3]"), "\(error)")
        }
        #expect(read(file, heads: 4) == "error: the mask of heads has shape '(2,3)', at file 'm.npy'; expected a NumPy file, bool [2, 4]")
    }
}

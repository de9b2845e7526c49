import Testing

@testable import Passes

@Test func fuseEpilogueCases() throws { try checkCases(Pipeline.fuseEpilogue) }

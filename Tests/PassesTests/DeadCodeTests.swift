import Testing

@testable import Passes

@Test func deadCodeCases() throws { try checkCases(Pipeline.deadCode) }

import Testing

@testable import Passes

@Test func averageFirstCases() throws { try checkCases(Pipeline.averageFirst) }

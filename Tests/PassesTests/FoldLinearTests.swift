import Testing

@testable import Passes

@Test func foldLinearCases() throws { try checkCases(Pipeline.foldLinear) }

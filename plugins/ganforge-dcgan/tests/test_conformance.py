from ganforge.testing import conformance_cases


@conformance_cases("ganforge-dcgan")
def test_conformance(case):
    case.run()

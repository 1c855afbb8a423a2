#pragma once
// All of Octavo's C++ API.
#include "octavo/bench.h"
#include "octavo/engine.h"
#include "octavo/evaluate.h"
#include "octavo/inspect.h"
#include "octavo/progress.h"
#include "octavo/quantize.h"
#include "octavo/selftest.h"
#include "octavo/status.h"
#include "octavo/text.h"
#include "octavo/version.h"

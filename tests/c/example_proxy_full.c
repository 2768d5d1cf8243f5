#define SERVER "../../c_examples/proxy.c"
#define ARGUMENTS "proxy", "0", "127.0.0.1", "1"
#include "out_of_descriptors.h"

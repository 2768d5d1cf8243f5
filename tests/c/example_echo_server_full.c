#define SERVER "../../c_examples/echo_server.c"
#define ARGUMENTS "echo_server", "0"
#include "out_of_descriptors.h"

#define SERVER "../../c_examples/chat_server.c"
#define ARGUMENTS "chat_server", "0"
#include "out_of_descriptors.h"
